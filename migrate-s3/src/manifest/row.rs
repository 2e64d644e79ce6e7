//! One line of CSV, as S3 Inventory and S3 Batch Operations write it. Pure.

use common::location::BucketUrl;
use jiff::Timestamp;

use super::Row;
use crate::key::{Key, PlusMeans};
use crate::listing::{Entry, Version};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Bucket,
    Key,
    VersionId,
    IsLatest,
    IsDeleteMarker,
    Size,
    LastModified,
    ETag,
    StorageClass,
    Other,
}

/// The columns of a manifest of S3 Batch Operations, of which the last one may be missing.
pub(super) const BATCH: [Column; 3] = [Column::Bucket, Column::Key, Column::VersionId];

/// The columns that `manifest.json` names in `fileSchema`.
pub(super) fn schema(text: &str) -> Vec<Column> {
    let column = |name: &str| match name.trim() {
        "Bucket" => Column::Bucket,
        "Key" => Column::Key,
        "VersionId" => Column::VersionId,
        "IsLatest" => Column::IsLatest,
        "IsDeleteMarker" => Column::IsDeleteMarker,
        "Size" => Column::Size,
        "LastModifiedDate" => Column::LastModified,
        "ETag" => Column::ETag,
        "StorageClass" => Column::StorageClass,
        _ => Column::Other,
    };
    text.split(',').map(column).collect()
}

/// Reads one line; the error is half a sentence.
pub(super) fn parse(line: &str, schema: &[Column], source: &BucketUrl) -> Result<Row, String> {
    let fields = fields(line).ok_or("quotes that do not end")?;
    let field = |column: Column| {
        let place = schema.iter().position(|other| *other == column)?;
        fields.get(place).map(String::as_str).filter(|text| !text.is_empty())
    };
    let bucket = field(Column::Bucket).ok_or("no bucket")?;
    if bucket != source.bucket {
        return Err(format!("an object of the bucket {bucket}, and the source is {}", source.bucket));
    }
    let full_key = Key::from_listing(field(Column::Key).ok_or("no key")?, PlusMeans::Space);
    let size = field(Column::Size).map(|text| text.parse().map_err(|_| format!("the size `{text}`"))).transpose()?;
    let is_inventory = schema.contains(&Column::IsLatest);
    let version = field(Column::VersionId).filter(|id| *id != "null" && !is_inventory);
    let below = full_key.below(&source.prefix);
    let entry = Entry {
        key: below.clone().unwrap_or(full_key),
        size: size.unwrap_or(0),
        etag: field(Column::ETag).unwrap_or_default().trim_matches('"').to_owned(),
        last_modified: field(Column::LastModified).and_then(|text| text.parse::<Timestamp>().ok()),
        storage_class: field(Column::StorageClass).map(ToOwned::to_owned),
        version: version.map(|id| Version { id: id.to_owned(), is_marker: false }),
    };
    let is = |column, word: &str| field(column).is_some_and(|text| text.eq_ignore_ascii_case(word));
    Ok(if below.is_none() {
        Row::Left(entry, "it is not below the source's prefix")
    } else if is(Column::IsDeleteMarker, "true") {
        Row::Left(entry, "it is the mark of a deletion; --versions migrates those")
    } else if is(Column::IsLatest, "false") {
        Row::Left(entry, "it is not the latest version; --versions migrates all of them")
    } else if size.is_some() && !entry.etag.is_empty() {
        Row::Described(entry)
    } else {
        Row::Named(entry)
    })
}

/// The fields of a line; `None` when a quoted one does not end.
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> BucketUrl {
        BucketUrl { bucket: "paas".into(), prefix: "2023/".into() }
    }

    #[test]
    fn an_inventory_is_understood() {
        let schema = schema(
            "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass, EncryptionStatus",
        );
        let parsed = |line: &str| parse(line, &schema, &source()).unwrap();
        let line = r#""paas","2023/a%2Cb%22+c.csv","v1","true","false","12","2023-11-21T04:00:00.000Z","abc","STANDARD","SSE-S3""#;
        let Row::Described(entry) = parsed(line) else { panic!("not described") };
        assert_eq!((entry.key, entry.size, entry.etag.as_str()), (Key::from("a,b\" c.csv"), 12, "abc"));
        assert!(entry.version.is_none() && entry.last_modified.is_some());
        assert!(matches!(parsed(&line.replace("true", "false")), Row::Left(..)));
        assert!(matches!(parsed(&line.replace("2023/a", "2024/a")), Row::Left(..)));
        assert!(matches!(parsed(r#""paas","2023/a","v2","true","true","","","","","""#), Row::Left(..)));
    }

    #[test]
    fn a_batch_manifest_is_understood_and_nonsense_is_not() {
        let parsed = |line: &str| parse(line, &BATCH, &source());
        assert!(matches!(parsed("paas,2023/a%20b"), Ok(Row::Named(entry)) if entry.key == Key::from("a b")));
        assert!(matches!(parsed("paas,2023/a,v7\r"), Ok(Row::Named(entry)) if entry.version_id() == Some("v7")));
        for wrong in ["other,2023/a", "paas", "", "\"paas,2023/a"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
