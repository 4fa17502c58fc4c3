//! The costs as callers see them.

use atelier_domain::costs::{DayCost, Sums};
use atelier_domain::operation::{Operation, Provider};
use serde_json::json;

use crate::fakes::{Api, request};

const COSTS: &str = "/api/v1/media/costs";

fn cost(day: &str, provider: Provider, model: &str, sums: Sums) -> DayCost {
    let day = day.parse().unwrap();
    DayCost { day, provider, operation: Operation::ImageGen, model: model.to_owned(), sums }
}

fn with_costs() -> Api {
    let api = Api::default();
    let well = |micro_usd| Sums { succeeded: 1, micro_usd, ..Sums::default() };
    for (workspace, cost) in [
        ("acme", cost("2026-11-01", Provider::Fal, "a", well(3_000))),
        ("acme", cost("2026-11-02", Provider::Fal, "a", well(4_000))),
        ("acme", cost("2026-11-02", Provider::Fal, "b", Sums { failed: 2, unpriced: 1, ..Sums::default() })),
        (
            "acme",
            cost(
                "2026-11-03",
                Provider::Luma,
                "c",
                Sums { cancelled: 1, micro_usd: 250_000, ..Sums::default() },
            ),
        ),
        ("acme", cost("2026-11-04", Provider::Luma, "c", Sums { micro_usd: -10, ..Sums::default() })),
        ("acme", cost("2026-11-05", Provider::Fal, "a", well(1))),
        ("beta", cost("2026-11-02", Provider::Fal, "a", well(9))),
    ] {
        api.store.keep_cost(workspace, cost);
    }
    api
}

#[tokio::test]
async fn costs_are_summed_by_what_was_asked_for() {
    let api = with_costs();
    let answer = api.get(&format!("{COSTS}?from=2026-11-01&to=2026-11-04&group_by=provider,model")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json["data"],
        json!({
            "from": "2026-11-01",
            "to": "2026-11-04",
            "group_by": ["provider", "model"],
            "rows": [
                {"provider": "fal", "model": "a", "jobs": 2, "succeeded": 2, "failed": 0, "cancelled": 0,
                 "unpriced": 0, "cost_usd": 0.007, "cost_usd_decimal": "0.007"},
                {"provider": "fal", "model": "b", "jobs": 2, "succeeded": 0, "failed": 2, "cancelled": 0,
                 "unpriced": 1, "cost_usd": 0.0, "cost_usd_decimal": "0"},
                {"provider": "luma", "model": "c", "jobs": 1, "succeeded": 0, "failed": 0, "cancelled": 1,
                 "unpriced": 0, "cost_usd": 0.24999, "cost_usd_decimal": "0.24999"},
            ],
            "totals": {"jobs": 5, "succeeded": 2, "failed": 2, "cancelled": 1, "unpriced": 1,
                       "cost_usd": 0.25699, "cost_usd_decimal": "0.25699"},
        })
    );
    let answer = api.get(&format!("{COSTS}?from=2026-11-01&to=2026-11-04&group_by=day,operation")).await;
    let rows = answer.json["data"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!((&rows[1]["day"], &rows[1]["operation"]), (&json!("2026-11-02"), &json!("image_gen")));
    assert_eq!(rows[1]["jobs"], 3);
    assert_eq!(rows[3]["cost_usd_decimal"], "-0.00001", "a correction of an earlier day");
    assert!(rows[1].get("model").is_none());
}

#[tokio::test]
async fn days_without_jobs_cost_nothing() {
    let answer = with_costs().get(&format!("{COSTS}?from=2025-01-01&to=2025-02-01")).await;
    assert_eq!(answer.json["data"]["rows"], json!([]));
    assert_eq!(answer.json["data"]["totals"]["jobs"], 0);
    assert_eq!(answer.json["data"]["totals"]["cost_usd_decimal"], "0");
}

#[tokio::test]
async fn what_is_wrong_with_the_question_is_named() {
    let api = with_costs();
    let answer = api.get(&format!("{COSTS}?from=yesterday&group_by=workspace&page=2")).await;
    answer.refused(400, "bad_request");
    assert_eq!(answer.fields(), ["from", "group_by", "page"]);
    let answer = api.get(&format!("{COSTS}?from=2026-11-25&to=2026-11-24")).await;
    let message = answer.refused(400, "bad_request");
    assert!(message.contains("`from` is after `to`"), "{message}");
    let answer = api.get(&format!("{COSTS}?from=2025-01-01&to=2026-11-24")).await;
    assert_eq!(answer.fields(), ["from"]);
    let nobody = api.send(request("GET", COSTS, &[], axum::body::Body::empty())).await;
    nobody.refused(401, "unauthorized");
}

#[tokio::test]
async fn without_the_store_it_is_503() {
    let api = with_costs();
    api.store.jobs_are_down.store(true, std::sync::atomic::Ordering::SeqCst);
    api.get(COSTS).await.refused(503, "unavailable");
}
