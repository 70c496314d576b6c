//! The files with which clients reach the cluster.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Error;
use crate::credentials::Credentials;
use crate::state_dir::write_private;

/// Writes a kubeconfig for one user.
pub(crate) fn write(path: &Path, url: &str, credentials: &Credentials, user: &str) -> Result<(), Error> {
    let content = render(url, credentials.ca_pem(), user, &credentials.token(user));
    write_private(path, &content)
}

/// Where the kubeconfig of a user other than the administrator is.
pub(crate) fn path_for(state_dir: &Path, user: &str) -> PathBuf {
    // A `/` would leave the directory, and a `:` would end the path in the KUBECONFIG variable.
    let mut name = String::from("kubeconfig-");
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte) {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    state_dir.join(name)
}

fn render(url: &str, ca_pem: &str, user: &str, token: &str) -> String {
    let ca = STANDARD.encode(ca_pem);
    // A JSON string is a YAML string as well, whatever the name contains.
    let [url, user, token] = [url, user, token].map(Value::from);
    format!(
        "\
apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    server: {url}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    token: {token}
contexts:
- name: local
  context:
    cluster: local
    user: {user}
current-context: local
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_server_its_ca_and_the_user() {
        assert_eq!(
            render("https://127.0.0.1:6443", "PEM", "a \"b\"", "secret"),
            r#"apiVersion: v1
kind: Config
clusters:
- name: local
  cluster:
    server: "https://127.0.0.1:6443"
    certificate-authority-data: UEVN
users:
- name: "a \"b\""
  user:
    token: "secret"
contexts:
- name: local
  context:
    cluster: local
    user: "a \"b\""
current-context: local
"#
        );
    }

    #[test]
    fn a_user_name_stays_one_component_of_the_path() {
        let path = path_for(Path::new("/state"), "system:serviceaccount:a/../b");
        assert_eq!(path, Path::new("/state/kubeconfig-system%3Aserviceaccount%3Aa%2F..%2Fb"));
    }
}
