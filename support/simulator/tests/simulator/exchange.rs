//! Somebody else's ID tokens for access tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use pulumi_cloud_simulator::{Allowance, OidcIssuer};
use serde_json::{Value, json};

use crate::support::{Api, Bench, Reply, bench, stack_path};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const SUBJECT: &str = "system:serviceaccount:pulumi:operator";
const ORGANIZATION: Allowance = Allowance::Organization { admin: false };

fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": ["urn:pulumi:org:acme"],
        "iat": now, "nbf": now, "exp": now + 600,
        "kubernetes.io": {"namespace": "pulumi", "serviceaccount": {"name": "operator", "uid": "u"}},
    })
}

/// A token with those claims, signed by whatever signs.
fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn unsigned(claims: &Value) -> String {
    token(&json!({"alg": "RS256", "kid": "k"}), claims, |_| b"nothing".to_vec())
}

fn request(subject_token: &str) -> Value {
    json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": "urn:pulumi:org:acme",
        "subject_token": subject_token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "requested_token_type": "urn:pulumi:token-type:access_token:organization",
    })
}

fn with(mut request: Value, changes: &Value) -> Value {
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    request
}

/// Nobody has a token yet who asks for one.
async fn exchange(bench: &Bench, body: Value) -> Reply {
    let api = Api { token: String::new(), ..bench.api.clone() };
    api.post("/api/oauth/token", body).await
}

/// Checks that it was refused for that reason.
#[track_caller]
fn refused(reply: &Reply, code: &str, detail: &str) {
    let message = reply.expect_error(400);
    assert!(message.contains(detail), "{message}");
    assert_eq!(reply.json()["error"], code);
    assert!(reply.json()["error_description"].as_str().unwrap().contains(detail));
}

#[tokio::test]
async fn a_service_account_gets_a_token_of_the_organization() {
    let bench = bench().await;
    bench.simulator.trust_issuer("acme", OidcIssuer::new(ISSUER).allow(SUBJECT, ORGANIZATION)).unwrap();
    let body = with(request(&unsigned(&claims())), &json!({"expiration": 300}));
    let given = exchange(&bench, body).await.expect(200);
    assert_eq!(given["issued_token_type"], "urn:pulumi:token-type:access_token:organization");
    assert_eq!((&given["expires_in"], &given["scope"]), (&json!(300), &json!("")));
    let api = bench.api.with_token(given["access_token"].as_str().unwrap());
    api.get(&stack_path("")).await.expect(200);
    assert_eq!(api.get("/api/user").await.expect(200)["tokenInfo"]["organization"], "acme");
    let list = bench.api.get("/api/orgs/acme/tokens").await.expect(200);
    assert_eq!(list["tokens"][0]["createdBy"], SUBJECT);
    assert!(list["tokens"][0]["expires"].as_i64().unwrap() > Timestamp::now().as_second() + 200);
}

#[tokio::test]
async fn an_exchanged_token_comes_to_its_end() {
    let bench = bench().await;
    bench.simulator.trust_issuer("acme", OidcIssuer::new(ISSUER).allow(SUBJECT, ORGANIZATION)).unwrap();
    let ask = || exchange(&bench, request(&unsigned(&claims())));
    let first = ask().await.expect(200)["access_token"].as_str().unwrap().to_owned();
    bench.api.with_token(&first).get(&stack_path("")).await.expect(200);
    bench.simulator.expire_tokens("acme");
    bench.api.with_token(&first).get(&stack_path("")).await.expect_error(401);
    let second = ask().await.expect(200)["access_token"].as_str().unwrap().to_owned();
    bench.api.with_token(&second).get(&stack_path("")).await.expect(200);
    // Those that it began with have no end.
    bench.api.get(&stack_path("")).await.expect(200);
}

#[tokio::test]
async fn a_form_does_as_well() {
    let bench = bench().await;
    bench.simulator.trust_issuer("acme", OidcIssuer::new(ISSUER).allow("system:*:operator", ORGANIZATION)).unwrap();
    let body = with(request(&unsigned(&claims())), &json!({"scope": "", "expiration": "0"}));
    let form: Vec<(String, String)> = body
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let url = format!("{}/api/oauth/token", bench.api.url);
    let reply = bench.api.client.post(url).form(&form).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let given: Value = reply.json().await.unwrap();
    assert_eq!(given["expires_in"], 7200);
}

#[tokio::test]
async fn who_is_not_trusted_gets_nothing() {
    let bench = bench().await;
    let good = unsigned(&claims());
    refused(&exchange(&bench, request(&good)).await, "invalid_grant", "does not trust issuer");
    bench.simulator.trust_issuer("acme", OidcIssuer::new(ISSUER)).unwrap();
    refused(&exchange(&bench, request(&good)).await, "invalid_grant", "no policy");
    bench.simulator.trust_issuer("acme", OidcIssuer::new(ISSUER).allow(SUBJECT, ORGANIZATION)).unwrap();
    let past = Timestamp::now().as_second() - 10;
    let future = past + 100;
    for (claim, value, detail) in [
        ("exp", json!(past), "has expired"),
        ("nbf", json!(future), "not valid yet"),
        ("exp", json!(null), "no claim \"exp\""),
        ("aud", json!("https://kubernetes.default.svc"), "no policy"),
        ("aud", json!(null), "no claim \"aud\""),
        ("sub", json!("system:serviceaccount:pulumi:other"), "no policy"),
        ("iss", json!("https://elsewhere"), "does not trust issuer"),
    ] {
        let mut claims = claims();
        claims[claim] = value;
        refused(&exchange(&bench, request(&unsigned(&claims))).await, "invalid_grant", detail);
    }
    for text in ["nonsense", "a.b.c"] {
        refused(&exchange(&bench, request(text)).await, "invalid_grant", "no JSON Web Token");
    }
    exchange(&bench, request(&good)).await.expect(200);
    bench.simulator.distrust_issuer("acme", ISSUER).unwrap();
    refused(&exchange(&bench, request(&good)).await, "invalid_grant", "does not trust issuer");
}

#[tokio::test]
async fn a_request_must_be_whole() {
    let bench = bench().await;
    let issuer = OidcIssuer::new(ISSUER).allow(SUBJECT, ORGANIZATION).longest_life(3600);
    bench.simulator.trust_issuer("acme", issuer).unwrap();
    let good = request(&unsigned(&claims()));
    for (change, code) in [
        (json!({"grant_type": "password"}), "unsupported_grant_type"),
        (json!({"grant_type": null}), "invalid_request"),
        (json!({"grant_type": "refresh_token", "refresh_token": "x"}), "invalid_grant"),
        (json!({"audience": "acme"}), "invalid_target"),
        (json!({"subject_token": null}), "invalid_request"),
        (json!({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}), "invalid_request"),
        (json!({"requested_token_type": "urn:pulumi:token-type:access_token:runner"}), "invalid_request"),
        (json!({"scope": "team:x"}), "invalid_scope"),
        (json!({"requested_token_type": "urn:pulumi:token-type:access_token:team"}), "invalid_scope"),
        (json!({"expiration": -1}), "invalid_request"),
        (json!({"expiration": 3601}), "invalid_request"),
        (json!({"audience": "urn:pulumi:org:none"}), "invalid_grant"),
    ] {
        let reply = exchange(&bench, with(good.clone(), &change)).await;
        assert_eq!(reply.expect(400)["error"], code, "{change}");
    }
}

#[tokio::test]
async fn a_policy_says_what_may_be_had() {
    let bench = bench().await;
    bench.simulator.add_member_token("acme", "j", "jane").unwrap();
    let issuer = OidcIssuer::new(ISSUER)
        .allow(SUBJECT, Allowance::Organization { admin: true })
        .allow(SUBJECT, Allowance::Team("platform".to_owned()))
        .allow(SUBJECT, Allowance::Personal("jane".to_owned()))
        .allow(SUBJECT, Allowance::Personal("nobody".to_owned()));
    bench.simulator.trust_issuer("acme", issuer).unwrap();
    let ask = |kind: &str, scope: &str| {
        let kind = format!("urn:pulumi:token-type:access_token:{kind}");
        with(request(&unsigned(&claims())), &json!({"requested_token_type": kind, "scope": scope}))
    };
    let pause = "/api/orgs/acme/deployments/pause";
    for (kind, scope, login, may_pause) in [
        ("organization", "admin", "acme", true),
        ("organization", "", "acme", false),
        ("team", "team:platform", "acme", false),
        ("personal", "user:jane", "jane", false),
    ] {
        let given = exchange(&bench, ask(kind, scope)).await.expect(200);
        assert_eq!(given["scope"], scope);
        let api = bench.api.with_token(given["access_token"].as_str().unwrap());
        assert_eq!(api.get("/api/user").await.expect(200)["githubLogin"], login, "{kind}");
        assert_eq!(api.post(pause, json!({})).await.status == 200, may_pause, "{kind} {scope}");
    }
    refused(&exchange(&bench, ask("team", "team:other")).await, "invalid_grant", "no policy");
    refused(&exchange(&bench, ask("personal", "user:simulator")).await, "invalid_grant", "no policy");
    refused(&exchange(&bench, ask("personal", "user:nobody")).await, "invalid_grant", "not a member");
}

#[tokio::test]
async fn another_audience_can_be_allowed() {
    let bench = bench().await;
    let issuer = OidcIssuer::new(ISSUER).allow_audience(SUBJECT, "pulumi", ORGANIZATION);
    bench.simulator.trust_issuer("acme", issuer).unwrap();
    refused(&exchange(&bench, request(&unsigned(&claims()))).await, "invalid_grant", "no policy");
    let mut claims = claims();
    claims["aud"] = json!("pulumi");
    exchange(&bench, request(&unsigned(&claims))).await.expect(200);
}

#[tokio::test]
async fn with_the_issuers_keys_signatures_are_checked() {
    let bench = bench().await;
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let elliptic = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = elliptic.public_key().as_ref()[1..].to_vec();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let public = rsa.public_key();
    let keys = json!({"keys": [
        {
            "kty": "RSA", "kid": "one",
            "n": text(public.modulus().big_endian_without_leading_zero()),
            "e": text(public.exponent().big_endian_without_leading_zero()),
        },
        {"kty": "EC", "crv": "P-256", "kid": "two", "x": text(&point[..32]), "y": text(&point[32..])},
    ]});
    let issuer = OidcIssuer::new(ISSUER).jwks(keys).allow(SUBJECT, ORGANIZATION);
    bench.simulator.trust_issuer("acme", issuer).unwrap();
    let random = SystemRandom::new();
    let with_rsa = |message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    };
    let with_elliptic = |message: &[u8]| elliptic.sign(&random, message).unwrap().as_ref().to_vec();
    let rsa_token = token(&json!({"alg": "RS256", "kid": "one"}), &claims(), with_rsa);
    exchange(&bench, request(&rsa_token)).await.expect(200);
    let elliptic_token = token(&json!({"alg": "ES256", "kid": "two"}), &claims(), with_elliptic);
    exchange(&bench, request(&elliptic_token)).await.expect(200);
    // One key is as good as the other when the token does not say.
    exchange(&bench, request(&token(&json!({"alg": "ES256"}), &claims(), with_elliptic))).await.expect(200);

    let wrong_key = token(&json!({"alg": "RS256", "kid": "two"}), &claims(), with_rsa);
    refused(&exchange(&bench, request(&wrong_key)).await, "invalid_grant", "signature is invalid");
    let unknown_key = token(&json!({"alg": "RS256", "kid": "three"}), &claims(), with_rsa);
    refused(&exchange(&bench, request(&unknown_key)).await, "invalid_grant", "key id");
    let none = token(&json!({"alg": "none", "kid": "one"}), &claims(), |_| Vec::new());
    refused(&exchange(&bench, request(&none)).await, "invalid_grant", "signature is invalid");
    let mut other = claims();
    other["jti"] = json!("changed after signing");
    let part = URL_SAFE_NO_PAD.encode(other.to_string());
    let parts: Vec<&str> = rsa_token.split('.').collect();
    let forged = format!("{}.{part}.{}", parts[0], parts[2]);
    refused(&exchange(&bench, request(&forged)).await, "invalid_grant", "signature is invalid");
}
