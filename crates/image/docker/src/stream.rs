//! What an engine says while it works: JSON objects, one after the other.

use std::io::{self, BufReader, Read};

use longshore_events::{Events, Task, TaskKind};
use longshore_http::{Bytes, HttpError, Response, block_on};
use serde::Deserialize;

use crate::error::EngineErrorKind;

/// More than an engine ever says about one load, in bytes.
const MAX_TALK: u64 = 64 * 1024 * 1024;

/// An answer's body as plain bytes.
pub(crate) struct Body {
    response: Response,
    chunk: Bytes,
}

impl Body {
    pub(crate) fn new(response: Response) -> Self {
        Body { response, chunk: Bytes::new() }
    }
}

impl Read for Body {
    /// Fails with an [`HttpError`] inside where the engine does.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match block_on(self.response.chunk()).map_err(io::Error::other)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

/// One thing that an engine says. moby's jsonmessage; Podman has the same fields.
#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "progressDetail")]
    progress: Option<Progress>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
}

#[derive(Debug, Deserialize)]
struct Progress {
    #[serde(default)]
    current: Option<i64>,
    #[serde(default)]
    total: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    message: String,
}

/// Listens to an engine that loads images, to the end. Returns the names, or the IDs where there are none, of what it loaded.
pub(crate) fn listen_to_load(body: impl Read, events: &Events) -> Result<Vec<String>, EngineErrorKind> {
    let reader = BufReader::new(body.take(MAX_TALK));
    let mut loaded = Vec::new();
    let mut open: Option<(String, Task)> = None;
    for message in serde_json::Deserializer::from_reader(reader).into_iter::<Message>() {
        events.check()?;
        let message = message.map_err(cause)?;
        if let Some(error) = error_of(&message) {
            return Err(EngineErrorKind::Failed(error));
        }
        for line in message.stream.iter().flat_map(|text| text.lines()) {
            loaded.extend(loaded_names(line));
        }
        if let (Some(id), Some(progress)) = (message.id, message.progress) {
            let bytes = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
            let task = match open.take() {
                Some((of, task)) if of == id => task,
                before => {
                    // The engine goes from layer to layer: the next one's first word is the last one's end.
                    if let Some((_, task)) = before {
                        task.done("");
                    }
                    events.task(TaskKind::Work, format!("the engine loads {id}"))
                }
            };
            if let Some(current) = bytes(progress.current) {
                task.progress(current, bytes(progress.total).filter(|total| *total > 0));
            }
            open = Some((id, task));
        } else if let Some((_, task)) = open.take() {
            task.done("");
        }
    }
    if let Some((_, task)) = open {
        task.done("");
    }
    if loaded.is_empty() { Err(EngineErrorKind::Unconfirmed) } else { Ok(loaded) }
}

fn error_of(message: &Message) -> Option<String> {
    let detail = message.error_detail.as_ref().map(|detail| detail.message.clone());
    detail.filter(|text| !text.is_empty()).or_else(|| message.error.clone().filter(|text| !text.is_empty()))
}

/// `Loaded image: NAME` and `Loaded image ID: sha256:…`, by Docker; `Loaded image(s): NAME,NAME`, by older Podmans.
fn loaded_names(line: &str) -> Vec<String> {
    let rest = ["Loaded image: ", "Loaded image ID: ", "Loaded image(s): "]
        .iter()
        .find_map(|prefix| line.trim().strip_prefix(prefix));
    rest.map_or_else(Vec::new, |rest| rest.split(',').map(|name| name.trim().to_owned()).collect())
}

/// What broke a stream: the connection, or the words in it.
fn cause(error: serde_json::Error) -> EngineErrorKind {
    if !error.is_io() {
        return EngineErrorKind::Json(error);
    }
    match io::Error::from(error).downcast::<HttpError>() {
        Ok(error) => EngineErrorKind::Http(error),
        Err(error) => EngineErrorKind::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Result<Vec<String>, EngineErrorKind> {
        listen_to_load(text.as_bytes(), &Events::silent())
    }

    #[test]
    fn names_are_told_from_progress() {
        let text = concat!(
            r#"{"status":"Loading layer","progressDetail":{"current":5,"total":10},"progress":"x","id":"abc"}"#,
            "\r\n",
            r#"{"status":"Loading layer","progressDetail":{"current":10,"total":10},"id":"abc"}"#,
            r#"{"stream":"Loaded image: app:dev\n"}{"stream":"Loaded image ID: sha256:1\n"}"#
        );
        assert_eq!(listen(text).unwrap(), ["app:dev", "sha256:1"]);
        assert_eq!(listen(r#"{"stream":"Loaded image: localhost/app:dev"}"#).unwrap(), ["localhost/app:dev"]);
        assert_eq!(listen(r#"{"stream":"Loaded image(s): a:1,b:2\n"}"#).unwrap(), ["a:1", "b:2"]);
    }

    #[test]
    fn errors_in_the_stream_are_errors() {
        let failed = listen(
            r#"{"stream":"Loaded image: a"}{"errorDetail":{"message":"no space left on device"},"error":"x"}"#,
        );
        assert!(matches!(failed, Err(EngineErrorKind::Failed(text)) if text == "no space left on device"));
        assert!(
            matches!(listen(r#"{"error":"broken"}"#), Err(EngineErrorKind::Failed(text)) if text == "broken")
        );
        assert!(matches!(listen(""), Err(EngineErrorKind::Unconfirmed)));
        assert!(matches!(listen(r#"{"stream":"what"}"#), Err(EngineErrorKind::Unconfirmed)));
        assert!(matches!(listen("<html>"), Err(EngineErrorKind::Json(_))));
        assert!(matches!(listen(r#"{"stream":"Loaded image: a"}{"#), Err(EngineErrorKind::Json(_))));
    }
}
