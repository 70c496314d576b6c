//! Keys, certificates and tokens of one cluster, made at its first start and kept.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use crate::hash::sha256_hex;
use crate::state_dir::{create_private_dir, write_private};
use crate::{Error, User};

const CA: &str = "ca.crt";
const SERVER_CERTIFICATE: &str = "server.crt";
const SERVER_KEY: &str = "server.key";
const SERVICE_ACCOUNT_KEY: &str = "service-account.key";
const SERVICE_ACCOUNT_PUBLIC_KEY: &str = "service-account.pub";
const TOKEN_SEED: &str = "token-seed";
const TOKENS: &str = "tokens.csv";

/// The files of one cluster's `pki` directory.
#[derive(Debug)]
pub(crate) struct Credentials {
    dir: PathBuf,
    ca_pem: String,
    token_seed: String,
}

impl Credentials {
    /// Those of `state_dir`, made if it has none yet.
    pub(crate) fn load_or_create(state_dir: &Path) -> Result<Self, Error> {
        let dir = state_dir.join("pki");
        if !dir.exists() {
            // Renamed into place, so that an interrupted start leaves no half of a set.
            let partial = state_dir.join("pki.partial");
            if partial.exists() {
                fs::remove_dir_all(&partial).map_err(Error::io("remove", &partial))?;
            }
            create(&partial)?;
            fs::rename(&partial, &dir).map_err(Error::io("rename", &partial))?;
        }
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read_to_string(&path).map_err(Error::io("read", &path))
        };
        Ok(Self { ca_pem: read(CA)?, token_seed: read(TOKEN_SEED)?, dir })
    }

    /// The token of a user: the same at each start in the same directory, and not to be guessed
    /// without the seed.
    pub(crate) fn token(&self, user: &str) -> String {
        sha256_hex(&[&self.token_seed, user])
    }

    /// Writes the file from which kube-apiserver learns the users.
    pub(crate) fn write_tokens(&self, users: &[User]) -> Result<(), Error> {
        let lines: String = users.iter().map(|user| token_line(&self.token(&user.name), user)).collect();
        write_private(&self.tokens(), &lines)
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.join(CA)
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.dir.join(SERVER_CERTIFICATE)
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.dir.join(SERVER_KEY)
    }

    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.dir.join(SERVICE_ACCOUNT_KEY)
    }

    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.dir.join(SERVICE_ACCOUNT_PUBLIC_KEY)
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.dir.join(TOKENS)
    }
}

fn create(dir: &Path) -> Result<(), Error> {
    create_private_dir(dir)?;
    let write = |name: &str, content: &str| write_private(&dir.join(name), content);

    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "local-cluster CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca_key = KeyPair::generate()?;
    write(CA, &ca.self_signed(&ca_key)?.pem())?;
    // The key of the CA is not kept: it has nothing more to sign.
    let issuer = Issuer::new(ca, ca_key);

    let mut server = CertificateParams::default();
    server.distinguished_name.push(DnType::CommonName, "local-cluster");
    server.subject_alt_names =
        vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)), SanType::DnsName("localhost".try_into()?)];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    write(SERVER_CERTIFICATE, &server.signed_by(&server_key, &issuer)?.pem())?;
    write(SERVER_KEY, &server_key.serialize_pem())?;

    let service_account_key = KeyPair::generate()?;
    write(SERVICE_ACCOUNT_KEY, &service_account_key.serialize_pem())?;
    write(SERVICE_ACCOUNT_PUBLIC_KEY, &service_account_key.public_key_pem())?;

    write(TOKEN_SEED, &format!("{:032x}", rand::random::<u128>()))
}

/// A line of kube-apiserver's token file: token, name, uid and groups.
fn token_line(token: &str, user: &User) -> String {
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    let name = quoted(&user.name);
    let groups = quoted(&user.groups.join(","));
    format!("{token},{name},{name},{groups}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_start_has_the_same_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let first = Credentials::load_or_create(dir.path()).unwrap();
        let second = Credentials::load_or_create(dir.path()).unwrap();
        assert_eq!(first.ca_pem(), second.ca_pem());
        assert_eq!(first.token("admin"), second.token("admin"));
        assert_ne!(first.token("admin"), first.token("alice"));
    }

    #[test]
    fn two_clusters_have_different_tokens() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = Credentials::load_or_create(one.path()).unwrap();
        let two = Credentials::load_or_create(two.path()).unwrap();
        assert_ne!(one.token("admin"), two.token("admin"));
    }

    #[test]
    fn what_an_interrupted_start_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join("pki.partial");
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join(CA), "half of a certi").unwrap();
        let credentials = Credentials::load_or_create(dir.path()).unwrap();
        assert!(credentials.ca_pem().ends_with("-----END CERTIFICATE-----\n"));
        assert!(!partial.exists());
    }

    #[test]
    fn keys_can_be_read_by_this_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::load_or_create(dir.path()).unwrap();
        let mode = fs::metadata(credentials.server_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_fields_of_a_token_line_are_quoted() {
        let user = User::new("a \"b\", c").group("one").group("two");
        assert_eq!(token_line("t0", &user), "t0,\"a \"\"b\"\", c\",\"a \"\"b\"\", c\",\"one,two\"\n");
    }
}
