//! What the verbs that make one object have in common: sending it, telling of it. Must not know kinds.

use crate::cli::context::{CliError, Context};
use crate::cli::discovery::ApiResource;
use crate::cli::printers::{Output, OutputArgs};
use crate::cli::write_args::{DryRun, WriteArgs};
use crate::client::{Client, ClientError, with_query};
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

/// The flags of a verb that makes objects.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MadeArgs {
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Name of the manager that owns what is made.
    #[arg(long, value_name = "NAME")]
    field_manager: Option<String>,
    /// If true, the configuration of the object will be saved in its annotation.
    #[arg(long)]
    save_config: bool,
    /// Record the command in the change cause of the object.
    #[arg(long)]
    record: bool,
}

impl MadeArgs {
    /// The form of the output, or what is wrong with it.
    pub(crate) fn output(&self) -> Result<Option<Output>, CliError> {
        self.output.object()
    }

    /// Makes the object in the context's namespace, and tells what was `done`.
    pub(crate) async fn make(
        &self,
        context: &Context,
        row: &ApiResource,
        mut object: Value,
        (manager, done): (&str, &str),
    ) -> Result<(), CliError> {
        self.annotate(&mut object);
        if context.namespace_asked && row.namespaced {
            in_metadata(&mut object, "namespace", json!(context.namespace));
        }
        if self.write.dry_run != DryRun::Client {
            object = self.send(context, row, &object, manager).await?;
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let shown = row.object_name(name.unwrap_or_default());
        match self.output()? {
            Some(output) => print!("{}", output.one(&shown, &object)?),
            None => println!("{shown} {done}{}", self.write.dry_run.suffix()),
        }
        Ok(())
    }

    fn annotate(&self, object: &mut Value) {
        let mut annotations = Map::new();
        if self.save_config {
            let text = crate::cli::printers::go_json::compact(object) + "\n";
            let key = "kubectl.kubernetes.io/last-applied-configuration";
            annotations.insert(key.to_owned(), json!(text));
        }
        if self.record {
            let cause = crate::cli::change::command_line();
            annotations.insert("kubernetes.io/change-cause".to_owned(), cause);
        }
        if !annotations.is_empty() {
            in_metadata(object, "annotations", Value::Object(annotations));
        }
    }

    async fn send(
        &self,
        context: &Context,
        row: &ApiResource,
        object: &Value,
        manager: &str,
    ) -> Result<Value, CliError> {
        let manager = self.field_manager.as_deref().unwrap_or(manager);
        let query = self.write.query(manager)?;
        let namespace = if row.namespaced {
            context.namespace.as_str()
        } else {
            ""
        };
        let path = with_query(Client::path(&row.resource, namespace, "", ""), &query);
        let body = Some(("application/json", Bytes::from(object.to_string())));
        let bytes = context.client.call(Method::POST, &path, body).await?;
        let made = serde_json::from_slice(&bytes);
        made.map_err(|error| ClientError::Decode(error.to_string()).into())
    }
}

fn in_metadata(object: &mut Value, field: &str, value: Value) {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.insert(field.to_owned(), value);
    }
}

/// Labels of a flag: `a=b,c=d`.
pub(crate) fn labels(text: &str) -> Result<Value, CliError> {
    let mut labels = Map::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let wrong = || CliError::new(format!("unexpected label spec: {pair}"));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        if key.is_empty() || value.contains('=') {
            return Err(wrong());
        }
        labels.insert(key.to_owned(), json!(value));
    }
    Ok(Value::Object(labels))
}
