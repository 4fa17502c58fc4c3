//! Downloads of finished media: `/media/{provider}/{id}-{index}.{extension}`.

use http::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::call::Call;
use crate::fal;
use crate::journal::Provider;
use crate::luma;
use crate::state::State;
use crate::task::Stage;

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    let name = FileName::of(call)?;
    state.with_task(&name.task_id, |task| task.prompt.clone())
}

pub(crate) fn answer(call: &Call, state: &State, provider: Provider) -> Answer {
    if !matches!(call.method, Method::GET | Method::HEAD) {
        return Answer::json(405, json!({"error": "only GET and HEAD"}));
    }
    // Runway's links carry a token and are worth nothing without it.
    if provider == Provider::Runway && call.query("_jwt").is_none_or(str::is_empty) {
        return Answer::json(403, json!({"error": "the link's token is missing"}));
    }
    // So do some of Luma's.
    if provider == Provider::Luma {
        let name = FileName::of(call);
        let found = name.and_then(|name| state.with_task(&name.task_id, |task| luma::may_read(task, call)));
        if found == Some(false) {
            return Answer::json(403, json!({"error": "the link's signature is missing"}));
        }
    }
    let spec = FileName::of(call).and_then(|name| {
        let found = state.with_task(&name.task_id, |task| {
            let is_there = task.provider == provider && !task.is_cancelled && task.stage() == Stage::Over;
            let spec =
                task.files.get(name.index).filter(|spec| is_there && spec.extension() == name.extension)?;
            Some(fal::visible_file(task, spec))
        });
        found.flatten()
    });
    match spec {
        Some(spec) => Answer::media(spec),
        None => Answer::json(404, json!({"error": "no such file"})),
    }
}

struct FileName {
    task_id: String,
    index: usize,
    extension: String,
}

impl FileName {
    fn of(call: &Call) -> Option<Self> {
        let [name] = call.path.as_slice() else { return None };
        let (stem, extension) = name.rsplit_once('.')?;
        let (task_id, index) = stem.rsplit_once('-')?;
        Some(Self {
            task_id: task_id.to_owned(),
            index: index.parse().ok()?,
            extension: extension.to_owned(),
        })
    }
}
