//! Export archives as the service makes them for its partner: a ZIP of XML files. Knows no bucket.

use std::io::{Cursor, Write as _};

use fastrand::Rng;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::text;

/// Bytes of XML in one file of an archive.
const PART_BYTES: usize = 8 << 20;

/// A ZIP named `name` (without `.zip`) of about `bytes`: the forms in parts, and a manifest with their number. Stored,
/// not compressed, so that its size is what was asked for.
pub(super) fn zip(rng: &mut Rng, name: &str, bytes: usize) -> Vec<u8> {
    // The default time stamp is fixed, so the same seed gives the same bytes.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::with_capacity(bytes + (1 << 20))));
    let mut add = |file: String, body: &str| {
        archive.start_file(file, options).expect("a ZIP in memory takes a file");
        archive.write_all(body.as_bytes()).expect("a ZIP in memory takes its bytes");
    };
    let (mut left, mut part, mut records) = (bytes, 1, 0);
    while left > 0 {
        let size = left.min(PART_BYTES);
        let (body, count) = forms(rng, size);
        add(format!("{name}_pt{part:03}.xml"), &body);
        left -= size;
        part += 1;
        records += count;
    }
    let manifest = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<report>\n  <form-data-summary>\n    <records>\n      \
         <count-of-records>{records}</count-of-records>\n    </records>\n  </form-data-summary>\n</report>\n"
    );
    add("manifest.xml".to_owned(), &manifest);
    archive.finish().expect("a ZIP in memory can be finished").into_inner()
}

/// XML of about `bytes`, and how many forms are in it.
fn forms(rng: &mut Rng, bytes: usize) -> (String, u64) {
    let mut xml = String::with_capacity(bytes + 4_096);
    xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<forms>\n");
    let mut count = 0;
    while xml.len() < bytes {
        xml.push_str("  <form>\n");
        for field in ["form", "period", "tenancycode", "postcode", "la", "brent", "reason", "startdate", "hhmemb"] {
            xml.push_str("    <");
            xml.push_str(field);
            xml.push('>');
            match field {
                "reason" => text::push_words(&mut xml, rng, 6),
                "postcode" => xml.push_str(&text::postcode(rng)),
                _ => xml.push_str(&rng.u32(..).to_string()),
            }
            xml.push_str("</");
            xml.push_str(field);
            xml.push_str(">\n");
        }
        xml.push_str("  </form>\n");
        count += 1;
    }
    xml.push_str("</forms>\n");
    (xml, count)
}
