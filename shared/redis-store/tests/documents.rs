//! Documents: nobody else's, never half changed, and all of them found by a walk.

use std::collections::BTreeSet;

use atelier_domain::Timestamp;
use atelier_domain::ids::{DocumentId, WorkspaceId};
use atelier_domain::ports::{
    Created, Document, DocumentKind, DocumentMark, Documents as _, Labelling, PageOf,
};
use atelier_redis_store::{RedisDocuments, RedisStoreSettings};

use crate::harness::{Fixture, settings};

const KIND: DocumentKind = DocumentKind::Credential;

fn workspace(name: &str) -> WorkspaceId {
    name.parse().unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap()
}

fn document(store: &RedisDocuments, owner: &str, json: &str, created_ms: i64) -> Document {
    let workspace_id = workspace(owner);
    Document {
        id: store.new_id(&workspace_id),
        workspace_id,
        version: 1,
        created_at: at(created_ms),
        updated_at: at(created_ms),
        used_at: None,
        json: json.to_owned(),
    }
}

async fn kept(store: &RedisDocuments, document: &Document, label: Option<Labelling<'_>>) {
    assert_eq!(store.create(KIND, document, label, 100).await.unwrap(), Created::Yes);
}

async fn sharded() -> (Fixture, RedisDocuments) {
    let fixture = Fixture::with(|url| RedisStoreSettings { shards: 3, ..settings(url) }).await;
    let documents = RedisDocuments::new(fixture.redis.clone());
    (fixture, documents)
}

/// Of enough workspaces that every shard has some.
pub async fn documents_are_kept_changed_found_and_removed<S>(fixture: &Fixture<S>) {
    let store = RedisDocuments::new(fixture.redis.clone());
    let mut made = Vec::new();
    for number in 0..12 {
        let mut next = document(&store, &format!("team-{number}"), "1", 1_000 + number);
        kept(&store, &next, Some(Labelling::Take("fal"))).await;
        assert!(store.replace(KIND, &next, "2", at(2_000)).await.unwrap());
        store.touch(KIND, &next.id, at(3_000)).await.unwrap();
        assert!(store.label(KIND, &next.workspace_id, &next.id, "luma").await.unwrap());
        next = store.labelled(KIND, &next.workspace_id, "luma").await.unwrap().unwrap();
        assert_eq!((next.version, next.json.as_str(), next.used_at), (2, "2", Some(at(3_000))));
        let page = store.documents(KIND, &next.workspace_id, PageOf { page: 1, limit: 9 }).await.unwrap();
        assert_eq!(page.items, [next.clone()]);
        made.push(next);
    }
    assert_eq!(walked(&store).await, made.iter().map(|next| next.id.clone()).collect());
    for next in made {
        assert!(store.remove(KIND, &next.workspace_id, &next.id).await.unwrap());
        assert!(store.labels(KIND, &next.workspace_id).await.unwrap().is_empty());
    }
    assert!(walked(&store).await.is_empty());
}

async fn walked(store: &RedisDocuments) -> BTreeSet<DocumentId> {
    let (mut seen, mut mark): (BTreeSet<DocumentId>, Option<DocumentMark>) = Default::default();
    loop {
        let (found, next) = store.walk(KIND, mark).await.unwrap();
        seen.extend(found.into_iter().map(|found| found.id));
        mark = next;
        if mark.is_none() {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_document_is_seen_by_its_workspace_and_kind_alone() {
    let (_fixture, store) = sharded().await;
    let ours = document(&store, "acme", r#"{"a":1}"#, 1_000);
    kept(&store, &ours, None).await;
    let owner = workspace("acme");
    assert_eq!(store.document(KIND, &owner, &ours.id).await.unwrap(), Some(ours.clone()));
    assert_eq!(store.document(KIND, &workspace("beta"), &ours.id).await.unwrap(), None);
    assert_eq!(store.document(DocumentKind::ApiKey, &owner, &ours.id).await.unwrap(), None);
    assert_eq!(store.document(KIND, &owner, &DocumentId::new()).await.unwrap(), None);
    assert_eq!(store.of_any_workspace(KIND, &ours.id).await.unwrap(), Some(ours.clone()));
    assert!(!store.remove(KIND, &workspace("beta"), &ours.id).await.unwrap());
    assert!(!store.label(KIND, &workspace("beta"), &ours.id, "fal").await.unwrap());
    assert!(store.remove(KIND, &owner, &ours.id).await.unwrap());
    assert!(!store.remove(KIND, &owner, &ours.id).await.unwrap());
    assert_eq!(store.document(KIND, &owner, &ours.id).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_changes_of_one_version_one_is_written() {
    let (_fixture, store) = sharded().await;
    let first = document(&store, "acme", "1", 1_000);
    kept(&store, &first, None).await;
    assert!(store.replace(KIND, &first, "2", at(2_000)).await.unwrap());
    assert!(store.replace(KIND, &first, "2", at(2_000)).await.unwrap(), "a lost answer is asked for again");
    assert!(!store.replace(KIND, &first, "3", at(2_000)).await.unwrap());
    let second = store.document(KIND, &workspace("acme"), &first.id).await.unwrap().unwrap();
    assert_eq!((second.version, second.json.as_str(), second.updated_at), (2, "2", at(2_000)));
    assert_eq!(second.created_at, first.created_at);
    store.remove(KIND, &workspace("acme"), &first.id).await.unwrap();
    assert!(!store.replace(KIND, &second, "4", at(3_000)).await.unwrap(), "what is gone stays gone");
    assert_eq!(store.document(KIND, &workspace("acme"), &first.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_use_is_noted_and_is_no_change() {
    let (_fixture, store) = sharded().await;
    let used = document(&store, "acme", "1", 1_000);
    kept(&store, &used, None).await;
    store.touch(KIND, &used.id, at(5_000)).await.unwrap();
    store.touch(KIND, &used.id, at(4_000)).await.unwrap();
    let found = store.document(KIND, &workspace("acme"), &used.id).await.unwrap().unwrap();
    assert_eq!((found.used_at, found.version), (Some(at(5_000)), 1));
    assert!(store.replace(KIND, &used, "2", at(6_000)).await.unwrap());
    let unknown = DocumentId::new();
    store.touch(KIND, &unknown, at(5_000)).await.unwrap();
    assert_eq!(store.of_any_workspace(KIND, &unknown).await.unwrap(), None);
}

#[tokio::test]
async fn a_label_names_one_document_at_a_time() {
    let (_fixture, store) = sharded().await;
    let owner = workspace("acme");
    let (one, two, three) = (
        document(&store, "acme", "1", 1_000),
        document(&store, "acme", "2", 2_000),
        document(&store, "acme", "3", 3_000),
    );
    kept(&store, &one, Some(Labelling::IfFree("fal"))).await;
    kept(&store, &two, Some(Labelling::IfFree("fal"))).await;
    assert_eq!(store.labelled(KIND, &owner, "fal").await.unwrap().unwrap().id, one.id);
    kept(&store, &three, Some(Labelling::Take("fal"))).await;
    assert_eq!(store.labelled(KIND, &owner, "fal").await.unwrap().unwrap().id, three.id);
    assert!(store.label(KIND, &owner, &two.id, "fal").await.unwrap());
    assert!(store.label(KIND, &owner, &two.id, "luma").await.unwrap());
    let labels = store.labels(KIND, &owner).await.unwrap();
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        [("fal".to_owned(), two.id.clone()), ("luma".to_owned(), two.id.clone())]
    );
    assert_eq!(store.labelled(KIND, &workspace("beta"), "fal").await.unwrap(), None);
    store.remove(KIND, &owner, &two.id).await.unwrap();
    assert!(store.labels(KIND, &owner).await.unwrap().is_empty());
    assert!(!store.label(KIND, &owner, &two.id, "fal").await.unwrap());
}

#[tokio::test]
async fn a_list_shows_the_newest_first_and_a_workspace_has_a_limit() {
    let (_fixture, store) = sharded().await;
    let owner = workspace("acme");
    let mut ids = Vec::new();
    for number in 0..5 {
        let next = document(&store, "acme", "{}", 1_000 + number);
        kept(&store, &next, None).await;
        ids.insert(0, next.id);
    }
    let page = |page, limit| store.documents(KIND, &owner, PageOf { page, limit });
    let ids_of = |found: Vec<Document>| found.into_iter().map(|found| found.id).collect::<Vec<_>>();
    let (first, last) = (page(1, 3).await.unwrap(), page(2, 3).await.unwrap());
    assert_eq!((first.total, last.total), (5, 5));
    assert_eq!((ids_of(first.items), ids_of(last.items)), (ids[..3].to_vec(), ids[3..].to_vec()));
    assert!(page(3, 3).await.unwrap().items.is_empty());
    let next = document(&store, "acme", "{}", 2_000);
    assert_eq!(store.create(KIND, &next, None, 5).await.unwrap(), Created::Full);
    assert_eq!(store.document(KIND, &owner, &next.id).await.unwrap(), None);
    // What was taken before is taken, however full it is: the answer was lost.
    let again = Document { id: ids[0].clone(), ..next };
    assert_eq!(store.create(KIND, &again, None, 5).await.unwrap(), Created::Yes);
    assert_eq!(
        store.documents(KIND, &workspace("beta"), PageOf { page: 1, limit: 9 }).await.unwrap().total,
        0
    );
}

#[tokio::test]
async fn a_walk_meets_every_document_of_its_kind() {
    let (_fixture, store) = sharded().await;
    let mut expected = BTreeSet::new();
    for number in 0..250 {
        let next = document(&store, &format!("w{}", number % 40), "{}", number);
        kept(&store, &next, None).await;
        expected.insert(next.id);
    }
    let other = document(&store, "w1", "{}", 1);
    store.create(DocumentKind::ApiKey, &other, None, 100).await.unwrap();
    assert_eq!(walked(&store).await, expected);
}

#[tokio::test]
async fn inv11_documents_survive_a_killed_redis() {
    let (mut fixture, store) = sharded().await;
    let ours = document(&store, "acme", r#"{"kept":true}"#, 1_000);
    kept(&store, &ours, Some(Labelling::Take("fal"))).await;
    fixture.server.kill();
    fixture.server.start_again().unwrap();
    let found = store.labelled(KIND, &workspace("acme"), "fal").await.unwrap().unwrap();
    assert_eq!(found, ours);
}
