//! `wkube create secret generic|tls|docker-registry`. Must not know servers.

use super::sources::{Data, Sources};
use crate::cli::context::CliError;
use crate::cli::printers::go_json::compact;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

#[derive(Debug, clap::Subcommand)]
pub(super) enum What {
    /// Create a secret from a local file, directory, or literal value.
    Generic {
        /// Its name.
        name: String,
        #[command(flatten)]
        sources: Sources,
        /// Its type.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Create a TLS secret.
    Tls {
        /// Its name.
        name: String,
        /// Path to PEM encoded public key certificate.
        #[arg(long, value_name = "PATH")]
        cert: Option<String>,
        /// Path to private key associated with given certificate.
        #[arg(long, value_name = "PATH")]
        key: Option<String>,
    },
    /// Create a secret for use with a Docker registry.
    DockerRegistry {
        /// Its name.
        name: String,
        /// Server location for Docker registry.
        #[arg(
            long,
            value_name = "URL",
            default_value = "https://index.docker.io/v1/"
        )]
        docker_server: String,
        /// Username for Docker registry authentication.
        #[arg(long, value_name = "NAME", default_value = "")]
        docker_username: String,
        /// Password for Docker registry authentication.
        #[arg(long, value_name = "PASSWORD", default_value = "")]
        docker_password: String,
        /// Email for Docker registry.
        #[arg(long, value_name = "EMAIL", default_value = "")]
        docker_email: String,
        /// A file in the form of docker's own, in place of the other flags.
        #[arg(long, value_name = "[KEY=]PATH")]
        from_file: Option<String>,
    },
}

impl What {
    pub(super) fn object(&self) -> Result<Value, CliError> {
        match self {
            Self::Generic {
                name,
                sources,
                kind,
            } => {
                let data = sources.read("Secret")?;
                Ok(object(name, kind.as_deref(), data))
            }
            Self::Tls { name, cert, key } => tls(name, cert.as_deref(), key.as_deref()),
            Self::DockerRegistry {
                name,
                docker_server,
                docker_username,
                docker_password,
                docker_email,
                from_file,
            } => {
                let config = match from_file {
                    Some(path) => {
                        let path = path.split_once('=').map_or(path.as_str(), |(_, path)| path);
                        read(path)?
                    }
                    None if docker_username.is_empty() || docker_password.is_empty() => {
                        let what = "either --from-file or the combination of --docker-username, \
                                    --docker-password and --docker-server is required";
                        return Err(CliError::new(what));
                    }
                    None => {
                        let login = [docker_username, docker_password, docker_email];
                        docker_config(docker_server, login).into_bytes()
                    }
                };
                let data = Data::from([(".dockerconfigjson".to_owned(), config)]);
                Ok(object(name, Some("kubernetes.io/dockerconfigjson"), data))
            }
        }
    }
}

/// The login as docker keeps it. Kubernetes: kubectl's order of fields.
fn docker_config(server: &str, [user, password, email]: [&String; 3]) -> String {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    let fields = [
        ("username", user),
        ("password", password),
        ("email", email),
        ("auth", &auth),
    ];
    let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{}:{}", compact(&json!(name)), compact(&json!(value))))
        .collect();
    let server = compact(&json!(server));
    format!("{{\"auths\":{{{server}:{{{}}}}}}}", fields.join(","))
}

fn tls(name: &str, cert: Option<&str>, key: Option<&str>) -> Result<Value, CliError> {
    let (Some(cert), Some(key)) = (cert, key) else {
        let what = "key and cert must be specified";
        return Err(CliError::new(what));
    };
    let data = Data::from([
        ("tls.crt".to_owned(), read(cert)?),
        ("tls.key".to_owned(), read(key)?),
    ]);
    let is_pem = |name: &str, words: &str| {
        let text = data
            .get(name)
            .and_then(|bytes| std::str::from_utf8(bytes).ok());
        text.is_some_and(|text| text.contains("-----BEGIN ") && text.contains(words))
    };
    if !is_pem("tls.crt", "CERTIFICATE-----") {
        let what = "tls: failed to find any PEM data in certificate input";
        return Err(CliError::new(what));
    }
    if !is_pem("tls.key", "PRIVATE KEY-----") {
        let what = "tls: failed to find any PEM data in key input";
        return Err(CliError::new(what));
    }
    Ok(object(name, Some("kubernetes.io/tls"), data))
}

fn read(path: &str) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => error.to_string(),
        };
        CliError::new(format!("Cannot read file {path}, open {path}: {why}"))
    })
}

fn object(name: &str, kind: Option<&str>, data: Data) -> Value {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
    });
    if let Value::Object(map) = &mut object {
        if !data.is_empty() {
            let data = data.into_iter();
            let data: Map<String, Value> = data
                .map(|(key, value)| (key, json!(STANDARD.encode(value))))
                .collect();
            map.insert("data".to_owned(), Value::Object(data));
        }
        if let Some(kind) = kind {
            map.insert("type".to_owned(), json!(kind));
        }
    }
    object
}
