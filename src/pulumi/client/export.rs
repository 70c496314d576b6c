//! Finds what a stack gives out in its exported state, of which nothing else is kept: a state can be hundreds of
//! megabytes.

use std::io::{self, Read, Write};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use reqwest::Response;
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, TransferError, ValueType};
use struson::writer::{JsonStreamWriter, JsonWriter};
use tokio::task::spawn_blocking;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::routes::Route;
use super::transport::Call;
use super::{Class, Client, Error};
use crate::pulumi::governor::Permit;
use crate::pulumi::stack::StackId;
use crate::pulumi::wire::StackOutputs;

const OPERATION: &str = "ExportStack";
/// The type of the resource that holds a stack's outputs.
const STACK_TYPE: &str = "pulumi:pulumi:Stack";
/// The largest outputs that are read, as they are exported; a Secret or ConfigMap holds no more.
const LARGEST_OUTPUTS: usize = 1 << 20;
/// From the beginning to the last byte of an export.
const LONGEST_EXPORT: Duration = Duration::from_secs(15 * 60);
/// How deep a state may be nested. Reading takes a few bytes per level.
const DEEPEST: u32 = 4096;

impl Client {
    /// `ExportStack`: the stack's outputs as of its last update; none when it has no state. Sent once, and read as it
    /// comes. Of [`Class::Invalid`] when the outputs are larger than 1 MiB.
    pub async fn stack_outputs(&self, permit: &mut Permit, stack: &StackId) -> Result<StackOutputs, Error> {
        let call = Call::get(OPERATION, Route::stack(stack).then(&["export"]));
        let response = self.transport.open(permit, &call, LONGEST_EXPORT).await?;
        let body = SyncIoBridge::new(StreamReader::new(body(response)));
        // Reading blocks on the body. It ends with the body, whose silence and whole length are bounded.
        let read = spawn_blocking(move || outputs(body)).await;
        let failed = |class, message: &str| Error::local(class, OPERATION, message.to_owned());
        match read {
            Ok(Ok(outputs)) => Ok(outputs),
            Ok(Err(Unread::TooLarge)) => {
                let message = format!("the stack's outputs are larger than {} MiB", LARGEST_OUTPUTS >> 20);
                Err(failed(Class::Invalid, &message))
            }
            Ok(Err(Unread::Unusable)) => {
                Err(failed(Class::Unavailable, "the exported state broke off or can't be understood"))
            }
            Err(_) => Err(failed(Class::Unavailable, "reading the exported state was given up")),
        }
    }
}

/// The body piece by piece.
fn body(response: Response) -> impl futures::Stream<Item = io::Result<bytes::Bytes>> + Unpin + Send {
    stream::try_unfold(response, async |mut response| {
        Ok::<_, reqwest::Error>(response.chunk().await?.map(|chunk| (chunk, response)))
    })
    .map_err(io::Error::other)
    .boxed()
}

/// Why outputs could not be read.
#[derive(Debug, PartialEq, Eq)]
enum Unread {
    /// They are larger than what is held.
    TooLarge,
    /// It is not the JSON of a state, or only the beginning of it.
    Unusable,
}

impl From<ReaderError> for Unread {
    fn from(_: ReaderError) -> Self {
        Self::Unusable
    }
}

type Reader<R> = JsonStreamReader<R>;

fn outputs(state: impl Read) -> Result<StackOutputs, Unread> {
    let settings = ReaderSettings {
        // Only for messages that nobody sees.
        track_path: false,
        max_nesting_depth: Some(DEEPEST),
        restrict_number_values: false,
        ..ReaderSettings::default()
    };
    let mut state = JsonStreamReader::new_custom(state, settings);
    let mut found = None;
    members(&mut state, |name, state| match name {
        "deployment" if state.peek()? == ValueType::Object => members(state, |name, state| match name {
            "resources" if state.peek()? == ValueType::Array => {
                state.begin_array()?;
                while state.has_next()? {
                    let outputs = resource(state)?;
                    found = found.take().or(outputs);
                }
                Ok(state.end_array()?)
            }
            _ => Ok(state.skip_value()?),
        }),
        _ => Ok(state.skip_value()?),
    })?;
    let Some(found) = found else { return Ok(StackOutputs::default()) };
    let text = found.text.ok_or(Unread::TooLarge)?;
    serde_json::from_slice(&text).map_err(|_| Unread::Unusable)
}

/// Goes through an object: each value must be taken or skipped.
fn members<R: Read>(
    reader: &mut Reader<R>,
    mut each: impl FnMut(&str, &mut Reader<R>) -> Result<(), Unread>,
) -> Result<(), Unread> {
    reader.begin_object()?;
    while reader.has_next()? {
        let name = reader.next_name_owned()?;
        each(&name, reader)?;
    }
    Ok(reader.end_object()?)
}

/// The outputs of a resource, if it is the stack. In which order its fields come is not known.
fn resource<R: Read>(reader: &mut Reader<R>) -> Result<Option<Bounded>, Unread> {
    let (mut is_stack, mut outputs) = (None, None);
    members(reader, |name, reader| match name {
        "type" if reader.peek()? == ValueType::String => {
            is_stack = Some(reader.next_str()? == STACK_TYPE);
            Ok(())
        }
        "outputs" if is_stack != Some(false) => {
            let mut kept = Bounded { text: Some(Vec::new()) };
            let mut writer = JsonStreamWriter::new(&mut kept);
            reader.transfer_to(&mut writer).map_err(|error| match error {
                TransferError::ReaderError(error) => error.into(),
                TransferError::WriterError(_) => Unread::Unusable,
            })?;
            writer.finish_document().map_err(|_| Unread::Unusable)?;
            outputs = Some(kept);
            Ok(())
        }
        _ => Ok(reader.skip_value()?),
    })?;
    Ok(outputs.filter(|_| is_stack == Some(true)))
}

/// Keeps a text as long as it is not too large, and nothing of one that is.
struct Bounded {
    text: Option<Vec<u8>>,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(text) = self.text.as_mut().filter(|text| text.len() + bytes.len() <= LARGEST_OUTPUTS) {
            text.extend_from_slice(bytes);
        } else {
            self.text = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn read(state: &Value) -> Result<StackOutputs, Unread> {
        outputs(state.to_string().as_bytes())
    }

    fn state(resources: &Value) -> Value {
        json!({"version": 3, "deployment": {"manifest": {"time": "t"}, "resources": resources, "metadata": {}}})
    }

    #[test]
    fn the_outputs_of_the_stack_are_found_among_those_of_others() {
        let resources = json!([
            {"urn": "u", "type": "random:index:RandomId", "inputs": {"deep": [[{"outputs": 1}]]}, "outputs": {"url": "other"}},
            {"urn": "u", "type": STACK_TYPE, "outputs": {"url": "https://example.com", "n": 1.50, "o": {"type": "x"}}},
        ]);
        let expected =
            serde_json::from_value(json!({"url": "https://example.com", "n": 1.5, "o": {"type": "x"}})).unwrap();
        assert_eq!(read(&state(&resources)), Ok(expected));
    }

    #[rstest]
    #[case::type_first(r#"{"type":"pulumi:pulumi:Stack","outputs":{"a":1}}"#)]
    #[case::outputs_first(r#"{"outputs":{"a":1},"type":"pulumi:pulumi:Stack"}"#)]
    fn the_order_of_fields_does_not_matter(#[case] stack: &str) {
        let other = stack.replace("pulumi:pulumi:Stack", "other").replace('1', "2");
        for resources in [format!("{stack},{other}"), format!("{other},{stack}")] {
            let state = format!(r#"{{"deployment":{{"resources":[{resources}]}}}}"#);
            let expected = serde_json::from_value(json!({"a": 1})).unwrap();
            assert_eq!(outputs(state.as_bytes()), Ok(expected));
        }
    }

    #[rstest]
    #[case::no_resources(state(&json!([])))]
    #[case::null_resources(state(&json!(null)))]
    #[case::no_state(json!({"version": 3, "deployment": null}))]
    #[case::no_outputs(state(&json!([{"type": STACK_TYPE}])))]
    fn a_stack_without_state_gives_nothing_out(#[case] state: Value) {
        assert_eq!(read(&state), Ok(StackOutputs::default()));
    }

    #[test]
    fn outputs_are_bounded_and_those_of_other_resources_do_not_count() {
        let large = json!({"large": "x".repeat(LARGEST_OUTPUTS)});
        for kind in ["outputs", "type"] {
            // The order of the fields is that of their names here, so this is the one after them.
            let stack = json!({"type": STACK_TYPE, "outputs": large});
            let other = json!({"type": "other", "outputs": large, "zone": kind});
            assert_eq!(read(&state(&json!([other, stack]))), Err(Unread::TooLarge));
            let small = json!({"type": STACK_TYPE, "outputs": {"a": "x".repeat(LARGEST_OUTPUTS - 100)}});
            assert!(read(&state(&json!([other, small]))).is_ok());
        }
    }

    #[test]
    fn half_a_state_is_none() {
        let whole = state(&json!([{"type": STACK_TYPE, "outputs": {"a": "b"}}])).to_string();
        for end in 0..whole.len() {
            assert_eq!(outputs(&whole.as_bytes()[..end]), Err(Unread::Unusable), "{}", &whole[..end]);
        }
        assert_eq!(outputs("<html>".as_bytes()), Err(Unread::Unusable));
    }
}
