//! Lists that go by cursors, and how the store in memory makes them.

use std::collections::BTreeSet;

use atelier_domain::job::Job;
use atelier_domain::ports::{JobFilter, ListPlace, Page, Walked};
use serde_json::{Value, json};

use crate::fakes::{Answer, Api, image, video};

const JOBS: &str = "/api/v1/media/jobs";

fn place(order: i64, job: &Job) -> ListPlace {
    ListPlace { order, id: job.id.clone() }
}

/// A page of these jobs, which are newest first and have their places.
pub fn page(all: Vec<(i64, Job)>, filter: &JobFilter) -> Page<Job> {
    let fitting: Vec<_> = all.into_iter().filter(|(_, job)| filter.fits(job)).collect();
    let (total, limit) = (fitting.len(), filter.limit as usize);
    let first = (filter.page as usize - 1).saturating_mul(limit);
    let items: Vec<_> = fitting.into_iter().skip(first).take(limit).collect();
    let has_more = total > first.saturating_add(limit);
    let next = items.last().filter(|_| has_more).map(|(order, job)| place(*order, job));
    Page { items: items.into_iter().map(|(_, job)| job).collect(), total: total as u64, next }
}

/// What a walk over these jobs brings.
pub fn walked(all: Vec<(i64, Job)>, filter: &JobFilter, behind: Option<&ListPlace>) -> Walked {
    let rest = all.into_iter().filter(|(order, _)| behind.is_none_or(|place| *order < place.order));
    let mut items: Vec<_> = rest.filter(|(_, job)| filter.fits(job)).collect();
    let has_more = items.len() > filter.limit as usize;
    items.truncate(filter.limit as usize);
    let next = items.last().filter(|_| has_more).map(|(order, job)| place(*order, job));
    Walked { items: items.into_iter().map(|(_, job)| job).collect(), next }
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.json);
    let jobs = answer.json["data"].as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

fn next(answer: &Answer) -> Option<String> {
    answer.json["meta"]["next_cursor"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_list_by_cursors_has_every_job_once_whatever_comes_meanwhile() {
    let api = Api::default();
    let mut admitted = Vec::new();
    for _ in 0..45 {
        admitted.push(api.admitted(&image()).await);
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = api.get(&format!("{JOBS}?limit=10&cursor={cursor}")).await;
        found.extend(ids(&answer));
        let meta = json!({"total": null, "page": null, "limit": 10, "pages": null, "total_pages": null,
            "next_cursor": next(&answer)});
        assert_eq!(answer.json["meta"], meta);
        let Some(next) = next(&answer) else { break };
        cursor = next;
        // New ones come in at the head of the list, where nobody looks any more.
        api.admitted(&image()).await;
    }
    admitted.reverse();
    assert_eq!(found, admitted);
}

#[tokio::test]
async fn a_page_by_number_says_where_it_goes_on() {
    let api = Api::default();
    for _ in 0..5 {
        api.admitted(&image()).await;
    }
    let first = api.get(&format!("{JOBS}?limit=2")).await;
    let rest = api.get(&format!("{JOBS}?limit=100&cursor={}", next(&first).unwrap())).await;
    let all: BTreeSet<String> = ids(&first).into_iter().chain(ids(&rest)).collect();
    assert_eq!((all.len(), ids(&rest).len(), next(&rest)), (5, 3, None));
    let last = api.get(&format!("{JOBS}?limit=2&page=3")).await;
    assert_eq!((ids(&last).len(), next(&last)), (1, None));
}

#[tokio::test]
async fn more_filters_narrow() {
    let api = Api::default();
    let mut tagged = image();
    tagged["metadata"] = json!({"order": 17, "team": "blue"});
    let tagged = api.admitted(&tagged).await;
    let clip = api.admitted(&video()).await;
    let split = "2026-11-25T10:00:00Z".parse().unwrap();
    api.store.change(&tagged, |job| job.body.created_at = "2026-11-25T09:00:00Z".parse().unwrap());
    api.store.change(&clip, |job| job.body.created_at = split);
    for (query, wanted) in [
        ("metadata.order=17", &[&tagged][..]),
        ("metadata.order=17&metadata.team=red", &[]),
        ("model=gen4_turbo", &[&clip]),
        ("created_after=2026-11-25T09:30:00Z", &[&clip]),
        ("created_before=2026-11-25T10:00:00Z", &[&tagged]),
        ("status=queued,awaiting", &[&clip, &tagged]),
    ] {
        for way in ["", "&cursor="] {
            let answer = api.get(&format!("{JOBS}?{query}{way}")).await;
            assert_eq!(ids(&answer).iter().collect::<Vec<_>>(), wanted, "{query}{way}");
        }
    }
}

#[tokio::test]
async fn a_wrong_cursor_is_named() {
    let api = Api::default();
    for (query, field) in [("cursor=x", "cursor"), ("cursor=&page=2", "page"), ("curser=", "curser")] {
        for list in [JOBS, "/api/v1/media/dead-letters"] {
            let answer = api.get(&format!("{list}?{query}")).await;
            answer.refused(400, "bad_request");
            assert_eq!(answer.fields(), [field]);
        }
    }
    let letters = api.get("/api/v1/media/dead-letters?cursor=").await;
    assert_eq!((ids(&letters).len(), &letters.json["meta"]["next_cursor"]), (0, &Value::Null));
}
