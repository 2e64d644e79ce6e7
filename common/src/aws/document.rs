//! What the small documents say that S3 answers with: an error's code and message, an upload's id.
//!
//! Read by the SDK's own reader of XML. Called by `failure` and by migrate-s3.

use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_xml::decode::{Document, try_data};

/// What is shown of a message.
const MESSAGE_CHARACTERS_MAX: usize = 1_000;

/// What the outermost element of an error is called.
const ERROR: &str = "Error";

/// Code and message of the error that `document` is; neither, where it is none.
pub(super) fn error(document: &[u8]) -> ErrorMetadata {
    let mut error = ErrorMetadata::builder();
    for (name, text) in children(document, |root| root == ERROR) {
        match name.as_str() {
            "Code" => error = error.code(text),
            "Message" => error = error.message(text.chars().take(MESSAGE_CHARACTERS_MAX).collect::<String>()),
            _ => {}
        }
    }
    error.build()
}

/// What `document` says under `name`, unless it is an error. The name of the document itself does not matter: not all stores call
/// it as S3 does.
pub fn said(document: &[u8], name: &str) -> Option<String> {
    let mut children = children(document, |root| root != ERROR).into_iter();
    children.find(|(child, _)| child == name).map(|(_, text)| text)
}

/// The elements with a text directly below the outermost one, if that has the right name; what is torn ends where it is torn.
fn children(document: &[u8], is_wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut children = Vec::new();
    let Ok(text) = std::str::from_utf8(document) else { return children };
    let mut document = Document::new(text);
    let Ok(mut root) = document.root_element() else { return children };
    if !is_wanted(root.start_el().local()) {
        return children;
    }
    while let Some(mut child) = root.next_tag() {
        let name = child.start_el().local().to_owned();
        // What is not closed is torn, and may be the half of a word.
        let is_closed = text.contains(&format!("</{name}>"));
        let Ok(text) = try_data(&mut child) else { continue };
        if is_closed && !text.trim().is_empty() {
            children.push((name, text.trim().to_owned()));
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_read_also_a_torn_one() {
        let document = b"<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Less, &quot;please&quot; &amp; soon.</Message></Error>";
        let whole = error(document);
        assert_eq!((whole.code(), whole.message()), (Some("SlowDown"), Some("Less, \"please\" & soon.")));
        let torn = error(b"<Error><Code>SlowDown</Code><Mess");
        assert_eq!((torn.code(), torn.message()), (Some("SlowDown"), None));
        for none in [&b"<html><Code>x</Code></html>"[..], b"<Error><Code>x", b"", b"no XML", b"\xff"] {
            assert_eq!(error(none).code(), None, "{none:?}");
        }
    }

    #[test]
    fn other_names_of_the_document_do_not_matter_and_errors_do() {
        let upload =
            b"<InitiateMultipartUpload>\n <Key>k</Key>\n <UploadId>7b-4d</UploadId>\n</InitiateMultipartUpload>";
        assert_eq!(said(upload, "UploadId").as_deref(), Some("7b-4d"));
        let whole = b"<CompleteMultipartUploadResponse><ETag>&#34;7d1f-5&#34;</ETag></CompleteMultipartUploadResponse>";
        assert_eq!(said(whole, "ETag").as_deref(), Some("\"7d1f-5\""));
        assert_eq!(said(b"<Error><Code>InternalError</Code><ETag>x</ETag></Error>", "ETag"), None);
        assert_eq!(said(b"<html>hello</html>", "ETag"), None);
    }
}
