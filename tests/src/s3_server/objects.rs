//! Single objects: put, get, head, copy, delete, and their tags.

use std::sync::Arc;
use std::time::SystemTime;

use s3s::dto::{self, ETag, Timestamp};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::answer::{add_checksum, encryption_headers, internal, read_headers, signed, verdict_of};
use super::attributes::{Attributes, checked_tags, tags_of_request};
use super::conditions::{Conditions, Selection};
use super::faults::Fault;
use super::incoming::Incoming;
use super::store::{Object, Store};

pub(super) async fn put(
    store: &Store,
    request: S3Request<dto::PutObjectInput>,
) -> S3Result<S3Response<dto::PutObjectOutput>> {
    let verdict = verdict_of(&request);
    let conditions = Conditions::new(&verdict, request.input.if_match.clone(), request.input.if_none_match.clone());
    let settings = store.settings(&request.input.bucket)?;
    let mut attributes = Attributes::from_request(&request.headers)?;
    let mut tags = tags_of_request(&request.headers)?;
    let (bucket, mut key) = (request.input.bucket, request.input.key);
    match verdict.fault() {
        Some(Fault::KeepLess) => (attributes, tags) = (attributes.less(), Vec::new()),
        Some(Fault::KeysArePaths) => key = key.split('/').filter(|name| !name.is_empty()).collect::<Vec<_>>().join("/"),
        _ => {}
    }
    store.bucket(&bucket, |bucket| conditions.check(bucket.objects.get(&key).map(|object| &**object)))?;

    let incoming = Incoming {
        body: request.input.body,
        headers: &request.headers,
        trailers: request.trailing_headers,
        length: request.input.content_length,
        content_md5: request.input.content_md5,
        ignore_checksums: verdict.is(&Fault::IgnoreChecksums),
        echo_checksums: verdict.is(&Fault::EchoChecksums),
    };
    let (body, digests) = incoming.store(store, None).await?;
    let keeps_one = match verdict.fault() {
        Some(Fault::IgnoreChecksums) => false,
        Some(Fault::EchoChecksums) => digests.named.is_some(),
        _ => true,
    };
    let checksum = keeps_one.then(|| digests.stored());
    let mut headers = encryption_headers(&settings);
    add_checksum(&mut headers, checksum.as_ref());
    let (etag, version_id) = store.bucket(&bucket, |bucket| {
        conditions.check(bucket.objects.get(&key).map(|object| &**object))?;
        let etag = bucket.etag(hex::encode(digests.md5));
        let object = Object {
            body,
            attributes,
            tags,
            etag: etag.clone(),
            checksum,
            parts: Vec::new(),
            modified: SystemTime::now(),
        };
        Ok((etag, bucket.insert(key, object)))
    })?;
    let output = dto::PutObjectOutput { e_tag: Some(ETag::Strong(etag)), version_id, ..Default::default() };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) async fn get(
    store: &Store,
    request: S3Request<dto::GetObjectInput>,
) -> S3Result<S3Response<dto::GetObjectOutput>> {
    let verdict = verdict_of(&request);
    let input = &request.input;
    let conditions = Conditions::new(&verdict, input.if_match.clone(), input.if_none_match.clone());
    let object = store.version(&input.bucket, &input.key, input.version_id.as_deref())?;
    let version_id = store.bucket(&input.bucket, |bucket| Ok(bucket.current_id(&input.key)))?;
    let version_id = input.version_id.clone().or(version_id);
    if object.attributes.is_archived() {
        return Err(s3_error!(InvalidObjectState, "The operation is not valid for the object's storage class"));
    }
    conditions.check_read(&object)?;
    let selection = Selection::of(&object, input.range, input.part_number)?;
    let headers = read_headers(store, &input.bucket, &object, &selection, &verdict, input.checksum_mode.is_some())?;
    let output = dto::GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(object.body.read(selection.range.clone()).await.map_err(internal)?),
        content_length: Some(signed(selection.range.end - selection.range.start)?),
        content_range: selection.content_range(),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(Timestamp::from(object.modified)),
        parts_count: selection.parts_count,
        version_id,
        ..Default::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) fn head(
    store: &Store,
    request: &S3Request<dto::HeadObjectInput>,
) -> S3Result<S3Response<dto::HeadObjectOutput>> {
    let verdict = verdict_of(request);
    let input = &request.input;
    let conditions = Conditions::new(&verdict, input.if_match.clone(), input.if_none_match.clone());
    let object = store.version(&input.bucket, &input.key, input.version_id.as_deref())?;
    let version_id = store.bucket(&input.bucket, |bucket| Ok(bucket.current_id(&input.key)))?;
    let version_id = input.version_id.clone().or(version_id);
    conditions.check_read(&object)?;
    let selection = Selection::of(&object, input.range, input.part_number)?;
    let headers = read_headers(store, &input.bucket, &object, &selection, &verdict, input.checksum_mode.is_some())?;
    let output = dto::HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(signed(selection.range.end - selection.range.start)?),
        content_range: selection.content_range(),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(Timestamp::from(object.modified)),
        parts_count: selection.parts_count,
        version_id,
        ..Default::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) async fn copy(
    store: &Store,
    request: S3Request<dto::CopyObjectInput>,
) -> S3Result<S3Response<dto::CopyObjectOutput>> {
    let input = &request.input;
    let dto::CopySource::Bucket { bucket: from, key: from_key, .. } = &input.copy_source else {
        return Err(s3_error!(NotImplemented, "Only bucket/key can be copied from"));
    };
    let access_key = request.credentials.as_ref().map(|credentials| credentials.access_key.as_str());
    let account = store.accounts.iter().find(|account| Some(account.access_key_id.as_str()) == access_key);
    if !account.is_some_and(|account| account.buckets.iter().any(|name| **name == **from)) {
        return Err(s3_error!(AccessDenied, "Access Denied"));
    }
    let source = store.object(from, from_key)?;
    let verdict = verdict_of(&request);
    let conditions =
        Conditions::new(&verdict, input.copy_source_if_match.clone(), input.copy_source_if_none_match.clone());
    conditions.check(Some(&source))?;
    let replace = |directive: Option<&str>| directive == Some("REPLACE");
    let attributes = if replace(input.metadata_directive.as_ref().map(dto::MetadataDirective::as_str)) {
        Attributes::from_request(&request.headers)?
    } else {
        source.attributes.copied(&request.headers)
    };
    let tags = if replace(input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str)) {
        tags_of_request(&request.headers)?
    } else {
        source.tags.clone()
    };
    let named = source.checksum.as_ref().map(|checksum| checksum.algorithm);
    let bytes = source.body.read(0..source.body.length()).await.map_err(internal)?;
    // The copy has files of its own: to damage it does not damage the source.
    let (body, digests) = store.directory.write(bytes, named).await.map_err(internal)?;
    let modified = SystemTime::now();
    let etag = store.bucket(&input.bucket, |bucket| {
        let etag = bucket.etag(hex::encode(digests.md5));
        let checksum = Some(digests.stored());
        let object = Object { body, attributes, tags, etag: etag.clone(), checksum, parts: Vec::new(), modified };
        bucket.insert(input.key.clone(), object);
        Ok(etag)
    })?;
    let result = dto::CopyObjectResult {
        e_tag: Some(ETag::Strong(etag)),
        last_modified: Some(Timestamp::from(modified)),
        ..Default::default()
    };
    let headers = encryption_headers(&store.settings(&input.bucket)?);
    let output = dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) fn delete(
    store: &Store,
    request: &S3Request<dto::DeleteObjectInput>,
) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
    let (input, is_untold) = (&request.input, verdict_of(request).is(&Fault::UntoldMark));
    store.bucket(&input.bucket, |bucket| {
        let version_id = bucket.delete(&input.key).filter(|_| !is_untold);
        let delete_marker = version_id.is_some().then_some(true);
        Ok(S3Response::new(dto::DeleteObjectOutput { delete_marker, version_id, ..Default::default() }))
    })
}

pub(super) fn delete_many(
    store: &Store,
    input: dto::DeleteObjectsInput,
) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
    if input.delete.objects.len() > 1000 {
        return Err(s3_error!(MalformedXML, "At most 1000 keys can be deleted at once"));
    }
    let deleted = store.bucket(&input.bucket, |bucket| {
        let deleted = input.delete.objects.into_iter().map(|object| {
            bucket.delete(&object.key);
            dto::DeletedObject { key: Some(object.key), ..Default::default() }
        });
        Ok(deleted.collect::<Vec<_>>())
    })?;
    let quiet = input.delete.quiet.unwrap_or(false);
    let output = dto::DeleteObjectsOutput { deleted: (!quiet).then_some(deleted), ..Default::default() };
    Ok(S3Response::new(output))
}

pub(super) fn get_tags(
    store: &Store,
    input: &dto::GetObjectTaggingInput,
) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
    let object = store.version(&input.bucket, &input.key, input.version_id.as_deref())?;
    let tag_set =
        object.tags.iter().map(|(key, value)| dto::Tag { key: Some(key.clone()), value: Some(value.clone()) });
    Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set: tag_set.collect(), ..Default::default() }))
}

/// Replaces the tags of an object; `DeleteObjectTagging` replaces them with none.
pub(super) fn set_tags(store: &Store, bucket: &str, key: &str, tags: Vec<dto::Tag>) -> S3Result<()> {
    let tags = tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
    let tags = checked_tags(tags.collect())?;
    store.bucket(bucket, |bucket| {
        let object = bucket.object(key)?;
        let changed = Object { tags, ..Object::clone(object) };
        bucket.objects.insert(key.to_owned(), Arc::new(changed));
        Ok(())
    })
}
