//! What to try by hand while the stack is kept running.

use crate::demo::JobView;

/// A curl for each operation that is served.
pub(crate) fn text(api_url: &str, simulator_url: &str, key: &str, jobs: &[JobView]) -> String {
    let post = |comment: &str, body: &str| {
        format!(
            "# {comment}\ncurl -s {api_url}/api/v1/media/jobs -H 'X-API-Key: {key}' \\\n     \
             -H 'Content-Type: application/json' -d '{body}'\n"
        )
    };
    let get =
        |comment: &str, path: &str| format!("# {comment}\ncurl -s '{api_url}{path}' -H 'X-API-Key: {key}'\n");
    let mut lines = vec![
        format!(
            "The stack keeps running; ctrl-c stops it. Every request the providers got: {simulator_url}/_sim/journal\n"
        ),
        post("tts", r#"{"operation": "tts", "provider": "elevenlabs", "prompt": "Hello"}"#),
        post("image_gen", r#"{"operation": "image_gen", "provider": "fal", "prompt": "a fox"}"#),
        post("video_gen", r#"{"operation": "video_gen", "provider": "runway", "prompt": "slow pan"}"#),
    ];
    let first_of = |operation: &str| {
        jobs.iter().find(|job| job.operation == operation).and_then(|job| job.assets.first())
    };
    if let Some(sound) = first_of("tts") {
        let body =
            format!(r#"{{"operation": "stt", "provider": "deepgram", "input_asset_id": "{}"}}"#, sound.id);
        lines.push(post("stt, of the demo's speech", &body));
    }
    if let Some(image) = first_of("image_gen") {
        let body = format!(
            r#"{{"operation": "image_edit", "provider": "stability", "model": "remove-background", "input_asset_id": "{}"}}"#,
            image.id
        );
        lines.push(post("image_edit, of the demo's image", &body));
        let body = format!(
            r#"{{"operation": "video_from_image", "provider": "runway", "prompt": "slow zoom", "input_asset_id": "{}"}}"#,
            image.id
        );
        lines.push(post(&format!("video_from_image, from the demo's {}", image.content_type), &body));
    }
    if let Some(job) = jobs.first() {
        lines.push(get(
            "a job; ?wait=25 waits for its end",
            &format!("/api/v1/media/jobs/{}?wait=25", job.id),
        ));
        lines.push(get("what can be asked for", "/api/v1/media/models?operation=video_gen"));
        lines.push(get("jobs", "/api/v1/media/jobs?status=succeeded&limit=5"));
        if let Some(asset) = job.assets.first() {
            lines.push(get("a link to an asset", &format!("/api/v1/assets/{}/signed-url", asset.id)));
        }
    }
    lines.join("\n")
}
