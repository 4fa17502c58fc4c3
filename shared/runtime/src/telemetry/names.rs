//! Every name that stands on a span, in one place.
//!
//! OpenTelemetry semantic conventions 1.44.0 for HTTP (stable) and messaging (in development); GenAI conventions 1.42.0
//! (all in development); `media.*` is ours, as the conventions have nothing for images, speech and video.

/// Schema of the conventions followed here.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// `service.name` (resource).
pub const SERVICE_NAME: &str = "service.name";
/// `service.version` (resource).
pub const SERVICE_VERSION: &str = "service.version";
/// `service.instance.id` (resource).
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";

/// Low-cardinality class of a failure.
pub const ERROR_TYPE: &str = "error.type";

/// Always `redis`, a custom value.
pub const MESSAGING_SYSTEM: &str = "messaging.system";
/// `send`, `process`.
pub const MESSAGING_OPERATION_NAME: &str = "messaging.operation.name";
/// `send`, `process`.
pub const MESSAGING_OPERATION_TYPE: &str = "messaging.operation.type";
/// The queue, which is the step's word.
pub const MESSAGING_DESTINATION_NAME: &str = "messaging.destination.name";
/// The job id.
pub const MESSAGING_CONVERSATION_ID: &str = "messaging.message.conversation_id";

/// `generate_video` and so on, custom values.
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// The provider's word, custom values.
pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The provider's model.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// The seed, when the caller set one.
pub const GEN_AI_REQUEST_SEED: &str = "gen_ai.request.seed";
/// `text`, `image`, `speech`; ours: `video`.
pub const GEN_AI_OUTPUT_TYPE: &str = "gen_ai.output.type";
/// The provider's own job id.
pub const GEN_AI_RESPONSE_ID: &str = "gen_ai.response.id";

/// `speech`, `image`, `video`: the span kind of the product.
pub const MEDIA_KIND: &str = "media.kind";
/// `tts`, `stt`, `image_gen`, `image_edit`, `video_gen`, `video_from_image`.
pub const MEDIA_OPERATION: &str = "media.operation";
/// The job.
pub const MEDIA_JOB_ID: &str = "media.job.id";
/// How the job ended: `succeeded`, `failed`, `cancelled`.
pub const MEDIA_JOB_STATUS: &str = "media.job.status";
/// The provider's own job id, under our name.
pub const MEDIA_PROVIDER_JOB_ID: &str = "media.provider.job_id";
/// The provider's own word.
pub const MEDIA_PROVIDER_STATUS: &str = "media.provider.status";
/// The number of the paid call, from 1.
pub const MEDIA_ATTEMPT: &str = "media.attempt";
/// The number of the status check, from 1; on the media span their sum.
pub const MEDIA_POLL_COUNT: &str = "media.poll.count";
/// The prompt, if it may be shown.
pub const MEDIA_PROMPT: &str = "media.prompt";
/// Its length in characters.
pub const MEDIA_PROMPT_LENGTH: &str = "media.prompt.length";
/// Its digest in hex, if that is wanted.
pub const MEDIA_PROMPT_SHA256: &str = "media.prompt.sha256";
/// How many input files the job had. Never their URLs.
pub const MEDIA_INPUT_COUNT: &str = "media.input.count";
/// How many assets the job has.
pub const MEDIA_OUTPUT_COUNT: &str = "media.output.count";
/// The first asset, as `s3://bucket/key`.
pub const MEDIA_OUTPUT_URL: &str = "media.output.url";
/// All assets, when there are several.
pub const MEDIA_OUTPUT_URLS: &str = "media.output.urls";
/// Of the first asset.
pub const MEDIA_OUTPUT_CONTENT_TYPE: &str = "media.output.content_type";
/// Of all assets together.
pub const MEDIA_OUTPUT_SIZE_BYTES: &str = "media.output.size_bytes";
/// `second`, `image`, `character`.
pub const MEDIA_USAGE_UNIT: &str = "media.usage.unit";
/// How many of them.
pub const MEDIA_USAGE_QUANTITY: &str = "media.usage.quantity";
/// Before the call.
pub const MEDIA_COST_ESTIMATED_USD: &str = "media.cost.estimated_usd";
/// After the call.
pub const MEDIA_COST_ACTUAL_USD: &str = "media.cost.actual_usd";
/// `table` or `provider`.
pub const MEDIA_COST_SOURCE: &str = "media.cost.source";

/// Value of [`MESSAGING_SYSTEM`].
pub const REDIS: &str = "redis";
/// Value of the operation name and type of a producer.
pub const SEND: &str = "send";
/// Value of the operation name and type of a consumer.
pub const PROCESS: &str = "process";
