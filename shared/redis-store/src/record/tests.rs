use atelier_domain::ids::WorkspaceId;
use atelier_domain::operation::Step;

use super::*;

/// A record as layout 1 wrote it: a video that waits for its provider, with most fields in use.
const LAYOUT_1: &str = concat!(
    "1a0000000300010005",
    "1799583000000",
    "1799583100000",
    "045\n",
    r#"{"workspace_id":"acme","spec":{"operation":"video_from_image","provider":"runway","model":"gen4_turbo","#,
    r#""prompt":"slow pan","input":{"url":"https://example.com/a.png"},"config":{"duration":5,"ratio":"16:9"},"#,
    r#""priority":"high","run_at":"2027-01-12T00:00:00Z","start_deadline":"2027-01-13T00:00:00.123456789Z","#,
    r#""metadata":{"order":17},"capture_prompt":false,"on_unknown_outcome":"resubmit"},"attempts":2,"failures":1,"#,
    r#""waits":3,"remote":{"id":"task-1","submitted_at":"2027-01-12T00:00:01Z","urls":{"status":"https://x.example/1"}},"#,
    r#""provider_status":"RUNNING","cost":{"estimated":250000,"source":"table","price":{"unit":"second","micro_usd":50000}},"#,
    r#""error":{"code":"exhausted","message":"busy"},"warnings":["an alias"],"#,
    r#""trace":{"producer":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=b","#,
    r#""media_span_id":18446744073709551615,"scheduled_by":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-00"},"#,
    r#""created_at":"2027-01-11T23:59:59.987654321Z","started_at":"2027-01-12T00:00:00.5Z"}"#,
);

pub(crate) fn old() -> Job {
    read(&JobId::new(), LAYOUT_1.as_bytes()).unwrap()
}

#[test]
fn every_state_has_a_letter_of_its_own() {
    let letters: std::collections::BTreeSet<_> = State::ALL.iter().map(|state| letter(*state)).collect();
    assert_eq!(letters.len(), State::ALL.len());
}

#[test]
fn a_record_of_layout_1_is_read_whole() {
    let job = old();
    assert_eq!((job.state, job.epoch, job.deliveries, job.checks), (State::Awaiting, Epoch(3), 1, 5));
    assert_eq!(job.progress_percent, Some(45));
    assert_eq!((job.body.attempts, job.body.failures, job.body.waits), (2, 1, 3));
    assert_eq!(job.body.remote.as_ref().map(|remote| remote.id.as_str()), Some("task-1"));
    assert_eq!(job.body.spec.metadata.get("order"), Some(&17.into()));
    assert!(!has_this_layout(LAYOUT_1.as_bytes()));
}

#[test]
fn a_record_of_layout_1_becomes_layout_2_and_loses_nothing() {
    let job = old();
    let record = whole(&job).unwrap();
    assert!(has_this_layout(&record));
    assert!(record.len() < LAYOUT_1.len() * 2 / 3, "{} of {}", record.len(), LAYOUT_1.len());
    assert_eq!(read(&job.id, &record).unwrap(), job);
}

#[test]
fn a_body_of_defaults_comes_back_as_it_was() {
    let mut job = old();
    let id = job.id.clone();
    let spec = JobBody { spec: job.body.spec.clone(), ..job.body.clone() }.spec;
    let spec = atelier_domain::job::JobSpec {
        input: None,
        prompt: None,
        config: Default::default(),
        metadata: Default::default(),
        run_at: None,
        capture_prompt: true,
        on_unknown_outcome: atelier_domain::operation::OnUnknownOutcome::Fail,
        priority: atelier_domain::operation::Priority::Normal,
        ..spec
    };
    let workspace: WorkspaceId = "acme".parse().unwrap();
    let cost = atelier_domain::money::Cost::unknown();
    let trace = atelier_domain::trace::JobTrace { tracestate: None, scheduled_by: None, ..job.body.trace };
    let created_at = job.body.created_at;
    job = Job::admitted(id.clone(), workspace, spec, cost, trace, created_at);
    let read = read(&id, &whole(&job).unwrap()).unwrap();
    assert_eq!(read.body, job.body);
}

#[test]
fn the_header_holds_all_that_a_stored_intent_changes() {
    let before = old();
    let mut after = before.clone();
    after.state = State::Submitting;
    after.body.attempts += 1;
    after.body.failures = 0;
    after.body.waits = 0;
    after.body.started_at = Some(after.changed_at);
    after.body.completed_at = Some(after.changed_at);
    assert!(!differs(&before.body, &after.body));
    let mut record = whole(&before).unwrap();
    let header = header(&after).unwrap();
    assert_eq!(header.len(), HEADER_BYTES);
    record.splice(..HEADER_BYTES, header);
    assert_eq!(read(&before.id, &record).unwrap(), after);
}

#[test]
fn whatever_else_changes_in_a_body_is_a_difference() {
    let before = old().body;
    let changes: [fn(&mut JobBody); 6] = [
        |body| body.remote = None,
        |body| body.provider_status = None,
        |body| body.cost.estimated = atelier_domain::money::MicroUsd(1),
        |body| body.error = None,
        |body| body.warnings.clear(),
        |body| body.trace.scheduled_by = None,
    ];
    assert!(!differs(&before, &before.clone()));
    for change in changes {
        let mut after = before.clone();
        change(&mut after);
        assert!(differs(&before, &after));
    }
}

#[test]
fn a_claimed_record_has_the_epoch_of_its_claim() {
    let job = old();
    let claimed = read_claimed(&job.id, LAYOUT_1.as_bytes()).unwrap();
    assert_eq!((claimed.epoch, claimed.deliveries), (Epoch(4), 2));
}

#[test]
fn a_foreign_layout_is_named_and_a_cut_record_is_none() {
    let id = JobId::new();
    let foreign = "3".to_owned() + &"0".repeat(200);
    assert!(matches!(read(&id, foreign.as_bytes()), Err(RecordError::Version('3'))));
    assert!(matches!(read(&id, b"short"), Err(RecordError::Header)));
    let record = whole(&old()).unwrap();
    for length in 0..record.len() {
        assert!(read(&id, record.get(..length).unwrap()).is_err(), "{length} bytes of {}", record.len());
    }
    // The steps of a plan stand in a line of words.
    assert!(Step::ALL.iter().all(|step| !step.as_str().contains(' ')));
}

/// An asset as the versions before uploads packed it, within the record of its job.
#[derive(serde::Serialize)]
struct AssetBeforeUploads {
    id: &'static str,
    workspace_id: &'static str,
    job_id: &'static str,
    index: u16,
    operation: &'static str,
    provider: &'static str,
    model: &'static str,
    key: &'static str,
    content_type: &'static str,
    size_bytes: u64,
    sha256: &'static str,
    created_at: &'static str,
}

#[test]
fn a_packed_asset_of_an_older_version_is_read_and_packed_as_before() {
    let old = AssetBeforeUploads {
        id: "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
        workspace_id: "acme",
        job_id: "0ujssxh0cECutqzMgbtXSGnjorm",
        index: 3,
        operation: "image_edit",
        provider: "stability",
        model: "inpaint",
        key: "acme/2026/11/22/0ujssxh0cECutqzMgbtXSGnjorm/3.png",
        content_type: "image/png",
        size_bytes: 70_000,
        sha256: "ab",
        created_at: "2026-11-22T10:00:00.123456789Z",
    };
    let packed = rmp_serde::to_vec_named(&old).unwrap();
    let asset: atelier_domain::asset::Asset = rmp_serde::from_slice(&packed).unwrap();
    let made = asset.made_by.as_ref().unwrap();
    assert_eq!((made.job_id.as_str(), made.index, made.provider.as_str()), (old.job_id, 3, "stability"));
    assert_eq!(rmp_serde::to_vec_named(&asset).unwrap(), packed);
    let upload = atelier_domain::asset::Asset { made_by: None, ..asset };
    let packed = rmp_serde::to_vec_named(&upload).unwrap();
    assert_eq!(rmp_serde::from_slice::<atelier_domain::asset::Asset>(&packed).unwrap(), upload);
}
