//! One part of a large object: a ranged GET into one buffer, hashed, and an `UploadPart` with an explicit checksum.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::aws::ObjectRequest;
use common::limits::BytePermit;

use super::resume::Listed;
use crate::copy::Route;
use crate::digest;
use crate::errand::Errand;
use crate::error::Error;
use crate::head::CRC64NVME;
use crate::listing::Entry;
use crate::read::{Wanted, read};
use crate::sequence::Sequence;

/// A part's bytes with the leave to hold them.
pub(super) type Held = Arc<(Bytes, BytePermit)>;

/// A part that the target has.
pub(super) struct Sent {
    pub(super) number: i32,
    pub(super) etag: String,
    pub(super) crc: u64,
    pub(super) bytes: u64,
}

/// A part on its way.
pub(super) struct Part {
    pub(super) route: Arc<Route>,
    pub(super) errand: Arc<Errand>,
    pub(super) entry: Entry,
    pub(super) full_key: String,
    pub(super) upload_id: String,
    pub(super) checksums: bool,
    /// What the target has under this number already.
    pub(super) there: Option<Listed>,
    pub(super) number: i32,
    pub(super) range: Range<u64>,
}

impl Part {
    /// Brings the part over; its bytes are left with `sequence` on the way.
    pub(super) async fn copy(&self, permit: BytePermit, sequence: &Sequence<Held>) -> Result<Sent, Error> {
        let bytes = self.range.end - self.range.start;
        let mut buffer = BytesMut::with_capacity(usize::try_from(bytes).unwrap_or(0));
        let wanted = Wanted::of(&self.entry);
        read(&self.route.source, wanted, self.range.clone(), &self.errand, &mut |chunk: &[u8]| {
            buffer.extend_from_slice(chunk);
        })
        .await?;
        let held: Held = Arc::new((buffer.freeze(), permit));
        let crc = digest::crc64nvme(&held.0);
        sequence.offer(self.number, Arc::clone(&held));
        let there = self.there.as_ref().filter(|there| there.holds(&held.0, crc, self.checksums));
        let etag = match there {
            Some(there) => there.etag.clone(),
            None => self.send(&held.0, crc).await?,
        };
        self.route.progress.add_bytes(bytes);
        Ok(Sent { number: self.number, etag, crc, bytes })
    }

    async fn send(&self, body: &Bytes, crc: u64) -> Result<String, Error> {
        let target = &self.route.target;
        let crc = self.checksums.then(|| digest::crc64_base64(crc));
        let md5 = (!self.checksums).then(|| digest::content_md5(body));
        let answer = target
            .send("UploadPart", &self.entry.key, &self.errand, (body, |_: &Error| false), |body| {
                let request = ObjectRequest::put(&self.full_key, body)
                    .query("partNumber", Some(self.number.to_string()))
                    .query("uploadId", Some(&self.upload_id))
                    .header(CRC64NVME, crc.clone())
                    .header("content-md5", md5.clone());
                target.objects().write(request)
            })
            .await?;
        Ok(answer.headers().get("etag").unwrap_or_default().to_owned())
    }
}
