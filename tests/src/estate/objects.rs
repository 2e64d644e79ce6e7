//! The objects of the estate's two buckets, made one at a time when they are asked for. Knows no S3 client.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{Estate, archive, rows, spreadsheet, text};

/// The service's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Uploaded files, whose keys are `bulk_uploads.identifier`, and downloads made for people.
    BulkUpload,
    /// Export archives for the partner.
    CdsExport,
}

/// One object with everything that must arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub body: Bytes,
    /// Its Content-Type; `None` when the uploader sent none.
    pub content_type: Option<&'static str>,
    /// Its Content-Disposition.
    pub content_disposition: Option<String>,
    /// Its user metadata, without `x-amz-meta-`; ASCII, as HTTP headers are.
    pub metadata: Vec<(&'static str, String)>,
    /// Its tags.
    pub tags: Vec<(&'static str, String)>,
}

/// Iterator over a bucket's objects.
#[derive(Debug)]
pub struct Objects<'estate> {
    estate: &'estate Estate,
    bucket: Bucket,
    next: u64,
}

impl Estate {
    /// The objects of a bucket, in no order of keys.
    pub fn objects(&self, bucket: Bucket) -> Objects<'_> {
        Objects { estate: self, bucket, next: 0 }
    }

    /// How many objects a bucket holds.
    pub fn object_count(&self, bucket: Bucket) -> u64 {
        match bucket {
            Bucket::BulkUpload => self.row_count("bulk_uploads") + self.row_count("csv_downloads"),
            // The archives and the list of them.
            Bucket::CdsExport => self.archive_count() + 1,
        }
    }

    fn archive_count(&self) -> u64 {
        (self.scale_mb / 12).clamp(3, 40)
    }

    /// Bytes of archive number `index`. The first one takes a third of the scale: 68 MB at the demo's 200, so that it
    /// goes through in parts.
    fn archive_bytes(&self, index: u64) -> usize {
        let kilobytes = if index == 0 { self.scale_mb * 340 } else { 60 + self.scale_mb * (index % 7) };
        usize::try_from(kilobytes * 1_000).unwrap_or(usize::MAX)
    }

    fn upload(&self, row: u64) -> Object {
        let mut rng = rows::stream(self.seed, "bulk upload", row);
        // Most files have a few kilobytes, some tens, one in forty a megabyte or two.
        let bytes = match rng.u8(..40) {
            0 => rng.usize(700_000..2_200_000),
            1..12 => rng.usize(20_000..90_000),
            _ => rng.usize(2_000..20_000),
        };
        // An empty file is uploaded now and then, and must arrive as one.
        let body = if row == 3 { Vec::new() } else { spreadsheet::csv(&mut rng, bytes) };
        let tagged = rng.u8(..10) == 0;
        Object {
            key: self.upload_identifier(row),
            body: Bytes::from(body),
            content_type: text::pick(&mut rng, &[None, Some("binary/octet-stream"), Some("text/csv")]),
            content_disposition: None,
            metadata: if rng.u8(..5) == 0 {
                vec![("original-filename", format!("logs {row} (final).csv")), ("uploaded-by", format!("user {row}"))]
            } else {
                Vec::new()
            },
            tags: if tagged {
                vec![("scan result", "clean".to_owned()), ("year", "2023/24".to_owned())]
            } else {
                vec![]
            },
        }
    }

    fn download(&self, row: u64) -> Object {
        let mut rng = rows::stream(self.seed, "csv download", row);
        let bytes = rng.usize(3_000..60_000);
        let filename = self.download_filename(row);
        Object {
            body: Bytes::from(spreadsheet::csv(&mut rng, bytes)),
            content_type: Some("text/csv"),
            content_disposition: Some(format!("attachment; filename=\"download-{row}.csv\"")),
            metadata: Vec::new(),
            tags: Vec::new(),
            key: filename,
        }
    }

    fn archive_name(index: u64) -> String {
        let year = 2021 + index % 4;
        format!("core_{year}_{}_apr_mar_f{:04}_inc{:04}", year + 1, 1 + index / 4, 1 + index % 3)
    }

    fn archive(&self, index: u64) -> Object {
        let mut rng = rows::stream(self.seed, "archive", index);
        let name = Self::archive_name(index);
        Object {
            body: Bytes::from(archive::zip(&mut rng, &name, self.archive_bytes(index))),
            key: format!("{name}.zip"),
            content_type: Some("application/zip"),
            content_disposition: None,
            metadata: Vec::new(),
            tags: if index == 0 { vec![("delivered", "yes".to_owned())] } else { Vec::new() },
        }
    }

    fn archive_list(&self) -> Object {
        let mut list = "zip-name,date-time zipped folder generated,zip-file-uri\n".to_owned();
        for index in 0..self.archive_count() {
            let name = Self::archive_name(index);
            writeln!(list, "{name},2024-02-29 05:00:{index:02} UTC,{name}.zip")
                .expect("a string takes what is written");
        }
        Object {
            key: "Manifest_2024_02_29_0001.csv".to_owned(),
            body: Bytes::from(list),
            content_type: Some("text/csv"),
            content_disposition: None,
            metadata: Vec::new(),
            tags: Vec::new(),
        }
    }
}

impl Iterator for Objects<'_> {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        if self.next == self.estate.object_count(self.bucket) {
            return None;
        }
        let index = self.next;
        self.next += 1;
        Some(match self.bucket {
            Bucket::BulkUpload => {
                let uploads = self.estate.row_count("bulk_uploads");
                if index < uploads { self.estate.upload(index) } else { self.estate.download(index - uploads) }
            }
            Bucket::CdsExport if index < self.estate.archive_count() => self.estate.archive(index),
            Bucket::CdsExport => self.estate.archive_list(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_objects_and_no_key_comes_twice() {
        let estate = Estate::new(5, 3);
        for bucket in [Bucket::BulkUpload, Bucket::CdsExport] {
            let objects: Vec<Object> = estate.objects(bucket).collect();
            let keys: BTreeSet<&str> = objects.iter().map(|object| object.key.as_str()).collect();

            assert_eq!(keys.len() as u64, estate.object_count(bucket));
            assert_eq!(objects, Estate::new(5, 3).objects(bucket).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_archive_is_a_zip_of_xml() {
        let estate = Estate::new(5, 3);
        let object = estate.objects(Bucket::CdsExport).next().unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(object.body)).unwrap();

        assert_eq!(object.key, "core_2021_2022_apr_mar_f0001_inc0001.zip");
        assert_eq!(archive.len(), 2);
        assert!(archive.by_name("manifest.xml").is_ok());
    }

    #[test]
    fn the_demos_largest_archive_goes_through_in_parts() {
        assert!(Estate::new(1, 200).archive_bytes(0) > 64 << 20);
    }
}
