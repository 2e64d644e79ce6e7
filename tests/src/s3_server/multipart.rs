//! Multipart uploads: create, upload and copy parts, list them, complete, abort.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use s3s::dto::{self, ETag, Timestamp};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::answer::{add_checksum, encryption_headers, internal, verdict_of};
use super::attributes::{Attributes, tags_of_request};
use super::body::Body;
use super::checksum::{Algorithm, Kind, Stored, multipart_etag, of_parts};
use super::conditions::Conditions;
use super::faults::Fault;
use super::incoming::{Incoming, claimed_algorithm};
use super::store::{Object, Part, Store, Upload};

/// The least size of every part but the last: 5 MiB. Source: S3 user guide, "Amazon S3 multipart upload limits".
const PART_BYTES_MIN: u64 = 5 << 20;

/// The largest part number, same source.
const PART_NUMBER_MAX: i32 = 10_000;

/// Sets the field of a generated type that holds values of the algorithm.
macro_rules! set_checksum {
    ($output:expr, $algorithm:expr, $value:expr) => {
        match $algorithm {
            Algorithm::Crc32 => $output.checksum_crc32 = Some($value),
            Algorithm::Crc32c => $output.checksum_crc32c = Some($value),
            Algorithm::Crc64Nvme => $output.checksum_crc64nvme = Some($value),
            Algorithm::Sha1 => $output.checksum_sha1 = Some($value),
            Algorithm::Sha256 => $output.checksum_sha256 = Some($value),
        }
    };
}

/// The value that a generated type holds for the algorithm.
macro_rules! get_checksum {
    ($input:expr, $algorithm:expr) => {
        match $algorithm {
            Algorithm::Crc32 => $input.checksum_crc32.as_deref(),
            Algorithm::Crc32c => $input.checksum_crc32c.as_deref(),
            Algorithm::Crc64Nvme => $input.checksum_crc64nvme.as_deref(),
            Algorithm::Sha1 => $input.checksum_sha1.as_deref(),
            Algorithm::Sha256 => $input.checksum_sha256.as_deref(),
        }
    };
}

pub(super) fn create(
    store: &Store,
    request: S3Request<dto::CreateMultipartUploadInput>,
) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
    let verdict = verdict_of(&request);
    let ignore_checksums = verdict.is(&Fault::IgnoreChecksums);
    let (mut attributes, mut tags) = (Attributes::from_request(&request.headers)?, tags_of_request(&request.headers)?);
    if verdict.is(&Fault::KeepLess) {
        (attributes, tags) = (attributes.less(), Vec::new());
    }
    let checksum = if ignore_checksums { None } else { asked_checksum(&request.input)? };
    let upload = Upload {
        key: request.input.key.clone(),
        attributes,
        tags,
        checksum,
        parts: BTreeMap::new(),
        initiated: SystemTime::now(),
    };
    let id = uuid::Uuid::new_v4().simple().to_string();
    let settings = store.bucket(&request.input.bucket, |bucket| {
        bucket.uploads.insert(id.clone(), upload);
        Ok(bucket.settings.clone())
    })?;
    let output = dto::CreateMultipartUploadOutput {
        bucket: Some(request.input.bucket),
        key: Some(request.input.key),
        upload_id: Some(id),
        checksum_algorithm: checksum.map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: checksum.map(|(_, kind)| kind.name().to_owned().into()),
        ..Default::default()
    };
    Ok(S3Response::with_headers(output, encryption_headers(&settings)))
}

fn asked_checksum(input: &dto::CreateMultipartUploadInput) -> S3Result<Option<(Algorithm, Kind)>> {
    let Some(name) = &input.checksum_algorithm else { return Ok(None) };
    let algorithm = Algorithm::from_name(name.as_str())
        .ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported."))?;
    let kind = match input.checksum_type.as_ref().map(dto::ChecksumType::as_str) {
        None => algorithm.default_kind(),
        Some("FULL_OBJECT") => Kind::FullObject,
        Some("COMPOSITE") => Kind::Composite,
        Some(_) => return Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")),
    };
    if !algorithm.allows(kind) {
        let (kind, name) = (kind.name(), algorithm.name());
        return Err(s3_error!(
            InvalidRequest,
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            kind,
            name
        ));
    }
    Ok(Some((algorithm, kind)))
}

pub(super) async fn upload_part(
    store: &Store,
    request: S3Request<dto::UploadPartInput>,
) -> S3Result<S3Response<dto::UploadPartOutput>> {
    let verdict = verdict_of(&request);
    let ignore_checksums = verdict.is(&Fault::IgnoreChecksums);
    let input = request.input;
    check_part_number(input.part_number)?;
    let asked = store.bucket(&input.bucket, |bucket| Ok(bucket.upload(&input.key, &input.upload_id)?.checksum))?;
    if !ignore_checksums {
        check_part_algorithm(asked, claimed_algorithm(&request.headers)?)?;
    }
    let incoming = Incoming {
        body: input.body,
        headers: &request.headers,
        trailers: request.trailing_headers,
        length: input.content_length,
        content_md5: input.content_md5,
        ignore_checksums,
        echo_checksums: verdict.is(&Fault::EchoChecksums),
    };
    let (body, digests) = incoming.store(store, asked.map(|(algorithm, _)| algorithm)).await?;
    let sent = claimed_algorithm(&request.headers)?.filter(|_| !ignore_checksums);
    let checksum = sent.and(Some(digests.stored()));
    let (etag, settings) = store.bucket(&input.bucket, |bucket| {
        let etag = bucket.etag(hex::encode(digests.md5));
        let part = Part { body, digests, etag: etag.clone(), modified: SystemTime::now() };
        bucket.upload(&input.key, &input.upload_id)?.parts.insert(input.part_number, part);
        Ok((etag, bucket.settings.clone()))
    })?;
    let mut headers = encryption_headers(&settings);
    add_checksum(&mut headers, checksum.as_ref());
    headers.remove("x-amz-checksum-type");
    let output = dto::UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
    Ok(S3Response::with_headers(output, headers))
}

/// A part must carry the checksum that its upload was created with, as S3 insists; under a full-object type it may
/// carry none.
fn check_part_algorithm(asked: Option<(Algorithm, Kind)>, sent: Option<Algorithm>) -> S3Result<()> {
    let expected = asked.map(|(algorithm, _)| algorithm);
    let may_lack = asked.is_none_or(|(_, kind)| kind == Kind::FullObject);
    if sent == expected || (sent.is_none() && may_lack) {
        return Ok(());
    }
    let name = |algorithm: Option<Algorithm>| algorithm.map_or("null".to_owned(), |it| it.name().to_lowercase());
    Err(s3_error!(
        InvalidRequest,
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        name(expected),
        name(sent)
    ))
}

fn check_part_number(number: i32) -> S3Result<()> {
    if (1..=PART_NUMBER_MAX).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

pub(super) fn list_parts(store: &Store, input: dto::ListPartsInput) -> S3Result<S3Response<dto::ListPartsOutput>> {
    let upload = store.bucket(&input.bucket, |bucket| Ok(bucket.upload(&input.key, &input.upload_id)?.clone()))?;
    let count = usize::try_from(input.max_parts.unwrap_or(1000).clamp(0, 1000)).map_err(internal)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let mut parts: Vec<_> = upload.parts.iter().filter(|(number, _)| **number > marker).collect();
    let is_truncated = parts.len() > count;
    parts.truncate(count);
    let next = parts.last().map(|(number, _)| **number);
    let parts = parts.into_iter().map(|(number, part)| {
        let mut entry = dto::Part {
            e_tag: Some(ETag::Strong(part.etag.clone())),
            last_modified: Some(Timestamp::from(part.modified)),
            part_number: Some(*number),
            size: i64::try_from(part.body.length()).ok(),
            ..Default::default()
        };
        if let Some((algorithm, value)) = &part.digests.named {
            set_checksum!(entry, algorithm, BASE64_STANDARD.encode(value));
        }
        entry
    });
    Ok(S3Response::new(dto::ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        parts: Some(parts.collect()),
        is_truncated: Some(is_truncated),
        max_parts: i32::try_from(count).ok(),
        part_number_marker: Some(marker),
        next_part_number_marker: next.filter(|_| is_truncated),
        checksum_algorithm: upload.checksum.map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: upload.checksum.map(|(_, kind)| kind.name().to_owned().into()),
        storage_class: Some(upload.attributes.storage_class().to_owned().into()),
        ..Default::default()
    }))
}

pub(super) fn abort(
    store: &Store,
    input: &dto::AbortMultipartUploadInput,
) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
    store.bucket(&input.bucket, |bucket| {
        bucket.upload(&input.key, &input.upload_id)?;
        bucket.uploads.remove(&input.upload_id);
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    })
}

pub(super) fn complete(
    store: &Store,
    request: S3Request<dto::CompleteMultipartUploadInput>,
) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
    let verdict = verdict_of(&request);
    let input = request.input;
    let conditions = Conditions::new(&verdict, input.if_match.clone(), input.if_none_match.clone());
    let ignore_checksums = verdict.is(&Fault::IgnoreChecksums);
    let (etag, checksum, version_id, settings) = store.bucket(&input.bucket, |bucket| {
        let upload = bucket.upload(&input.key, &input.upload_id)?.clone();
        let parts = named_parts(&upload, &input)?;
        conditions.check(bucket.objects.get(&input.key).map(|object| &**object))?;
        let body = Body::joined(parts.iter().map(|part| part.body.clone()));
        check_size(&input, body.length())?;
        let checksum = if ignore_checksums { None } else { Some(object_checksum(&upload, &input, &parts)?) };
        let digests: Vec<_> = parts.iter().map(|part| part.digests.md5).collect();
        let etag = bucket.etag(multipart_etag(&digests));
        let object = Object {
            body,
            attributes: upload.attributes.clone(),
            tags: upload.tags.clone(),
            etag: etag.clone(),
            checksum: checksum.clone(),
            parts: parts.iter().map(|part| part.body.length()).collect(),
            modified: SystemTime::now(),
        };
        let version_id = bucket.insert(input.key.clone(), object);
        bucket.uploads.remove(&input.upload_id);
        Ok((etag, checksum, version_id, bucket.settings.clone()))
    })?;
    let mut output = dto::CompleteMultipartUploadOutput {
        e_tag: Some(ETag::Strong(etag)),
        version_id,
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        ..Default::default()
    };
    if verdict.is(&Fault::OtherEtag) {
        output.e_tag = Some(ETag::Strong("0".repeat(32)));
    } else if let Some(Stored { algorithm, kind, value }) = checksum {
        set_checksum!(output, algorithm, value);
        output.checksum_type = Some(kind.name().to_owned().into());
    }
    Ok(S3Response::with_headers(output, encryption_headers(&settings)))
}

/// The parts that the request names, in its order, when they are what the upload holds.
fn named_parts<'u>(upload: &'u Upload, input: &dto::CompleteMultipartUploadInput) -> S3Result<Vec<&'u Part>> {
    let named = input.multipart_upload.as_ref().and_then(|parts| parts.parts.as_deref()).unwrap_or_default();
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if !named.is_sorted_by(|left, right| left.part_number < right.part_number) {
        return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
    }
    let mut parts = Vec::with_capacity(named.len());
    for (index, entry) in named.iter().enumerate() {
        let number = entry.part_number.unwrap_or_default();
        let part = upload.parts.get(&number).ok_or_else(invalid_part)?;
        if entry.e_tag.as_ref().is_some_and(|etag| etag.value() != part.etag) {
            return Err(invalid_part());
        }
        check_part_checksum(upload.checksum, entry, part, number)?;
        if index + 1 < named.len() && part.body.length() < PART_BYTES_MIN {
            return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed size"));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn invalid_part() -> S3Error {
    s3_error!(
        InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been uploaded, \
         or the specified entity tag may not match the part's entity tag."
    )
}

/// A composite needs the checksum of each part in the request; where one is given it must be the part's.
fn check_part_checksum(
    asked: Option<(Algorithm, Kind)>,
    entry: &dto::CompletedPart,
    part: &Part,
    number: i32,
) -> S3Result<()> {
    for algorithm in Algorithm::ALL {
        let Some(claim) = get_checksum!(entry, algorithm) else {
            if asked == Some((algorithm, Kind::Composite)) {
                return Err(s3_error!(
                    InvalidRequest,
                    "The upload was created using a {} checksum. The complete request must include the \
                     checksum for each part. It was missing for part {} in the request.",
                    algorithm.name().to_lowercase(),
                    number
                ));
            }
            continue;
        };
        if part.digests.raw(algorithm).is_none_or(|value| BASE64_STANDARD.encode(value) != claim) {
            return Err(invalid_part());
        }
    }
    Ok(())
}

fn check_size(input: &dto::CompleteMultipartUploadInput, length: u64) -> S3Result<()> {
    match input.mpu_object_size {
        Some(size) if u64::try_from(size) != Ok(length) => Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header does not match what was computed."
        )),
        _ => Ok(()),
    }
}

/// The checksum of the whole object, refused when the request claims another value or another type.
fn object_checksum(upload: &Upload, input: &dto::CompleteMultipartUploadInput, parts: &[&Part]) -> S3Result<Stored> {
    let (algorithm, kind) = upload.checksum.unwrap_or((Algorithm::Crc64Nvme, Kind::FullObject));
    if input.checksum_type.as_ref().is_some_and(|claimed| claimed.as_str() != kind.name()) {
        return Err(s3_error!(
            InvalidRequest,
            "The checksum type of the request is not {}, with which the upload was created.",
            kind.name()
        ));
    }
    let values: Option<Vec<_>> =
        parts.iter().map(|part| Some((part.digests.raw(algorithm)?.to_vec(), part.body.length()))).collect();
    let stored = values.and_then(|values| of_parts(algorithm, kind, &values));
    let stored = stored.ok_or_else(|| s3_error!(InternalError, "The checksums of the parts cannot be combined"))?;
    for other in Algorithm::ALL {
        let Some(claim) = get_checksum!(input, other) else { continue };
        // A composite may be claimed with or without the count of parts.
        let matches = claim == stored.value || stored.value.split('-').next() == Some(claim);
        if other != algorithm || !matches {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                other.name()
            ));
        }
    }
    Ok(stored)
}
