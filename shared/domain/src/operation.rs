//! The words of a request: operation, media kind, provider, priority, step.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word on the wire, in Redis, on spans and in settings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// All words, for error messages.
            pub fn expected() -> String {
                Self::ALL.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(", ")
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str() == text)
                    .ok_or_else(|| format!("one of {} was expected", Self::expected()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a job does.
    Operation {
        /// Text to speech.
        Tts = "tts",
        /// Speech to text.
        Stt = "stt",
        /// An image from a prompt.
        ImageGen = "image_gen",
        /// An image from an image and a prompt.
        ImageEdit = "image_edit",
        /// A video from a prompt.
        VideoGen = "video_gen",
        /// A video from an image and a prompt. `video_from_img` is read as an alias of it.
        VideoFromImage = "video_from_image",
    }
}

words! {
    /// The span kind of the product: what sort of media an operation concerns.
    MediaKind {
        /// `tts`, `stt`.
        Speech = "speech",
        /// `image_gen`, `image_edit`.
        Image = "image",
        /// `video_gen`, `video_from_image`.
        Video = "video",
    }
}

words! {
    /// What sort of file an asset is.
    AssetKind {
        /// A sound. `speech` is read as an alias of it.
        Audio = "audio",
        /// A picture.
        Image = "image",
        /// A video.
        Video = "video",
        /// A transcript.
        Text = "text",
    }
}

words! {
    /// Who does the work.
    Provider {
        /// ElevenLabs.
        ElevenLabs = "elevenlabs",
        /// Deepgram.
        Deepgram = "deepgram",
        /// Fal.
        Fal = "fal",
        /// Replicate.
        Replicate = "replicate",
        /// Stability AI.
        Stability = "stability",
        /// Runway.
        Runway = "runway",
        /// Pika.
        Pika = "pika",
        /// Luma.
        Luma = "luma",
    }
}

words! {
    /// Which of two waiting jobs goes first.
    Priority {
        /// Before the others.
        High = "high",
        /// The default.
        Normal = "normal",
        /// When nothing else waits.
        Low = "low",
    }
}

words! {
    /// What to do when a paid request may or may not have arrived and the provider cannot be asked.
    OnUnknownOutcome {
        /// Fail the job with `unknown_outcome`; the caller decides. The default.
        Fail = "fail",
        /// Submit again and accept that the work may be paid twice.
        Resubmit = "resubmit",
        /// Wait for a late answer or for somebody who decides, up to the operator's limit; then fail.
        Hold = "hold",
    }
}

words! {
    /// One short piece of a job's work: one queue message.
    Step {
        /// Make the paid call.
        Submit = "submit",
        /// Ask the provider how far it is.
        Check = "check",
        /// Bring the result into the asset store.
        Deliver = "deliver",
        /// Find out what became of a paid call that got no answer.
        Reconcile = "reconcile",
        /// Tell the provider to stop work that nobody waits for any more.
        Abandon = "abandon",
    }
}

impl Provider {
    /// Whether it calls back when its work has ended, if it is told where.
    pub const fn makes_callbacks(self) -> bool {
        match self {
            Self::Deepgram | Self::Fal | Self::Replicate | Self::Pika | Self::Luma => true,
            Self::ElevenLabs | Self::Stability | Self::Runway => false,
        }
    }

    /// Whether its work has an id by which it can be asked for. The others answer with the result, or not at all.
    pub const fn has_jobs(self) -> bool {
        match self {
            Self::Fal | Self::Replicate | Self::Stability | Self::Runway | Self::Pika | Self::Luma => true,
            Self::ElevenLabs | Self::Deepgram => false,
        }
    }
}

impl AssetKind {
    /// Reads the word on the wire, aliases included.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "speech" => Ok(Self::Audio),
            other => other.parse(),
        }
    }
}

impl Operation {
    /// The media kind on spans and metrics.
    pub const fn media_kind(self) -> MediaKind {
        match self {
            Self::Tts | Self::Stt => MediaKind::Speech,
            Self::ImageGen | Self::ImageEdit => MediaKind::Image,
            Self::VideoGen | Self::VideoFromImage => MediaKind::Video,
        }
    }

    /// Whether the job needs an input file (`input_url` or `input_asset_id`).
    pub const fn needs_input(self) -> bool {
        match self {
            Self::Stt | Self::ImageEdit | Self::VideoFromImage => true,
            Self::Tts | Self::ImageGen | Self::VideoGen => false,
        }
    }

    /// The media kind of the input, for operations that need one.
    pub const fn input_kind(self) -> Option<MediaKind> {
        match self {
            Self::Stt => Some(MediaKind::Speech),
            Self::ImageEdit | Self::VideoFromImage => Some(MediaKind::Image),
            Self::Tts | Self::ImageGen | Self::VideoGen => None,
        }
    }

    /// The custom value of `gen_ai.operation.name`; also the first word of the media span's name.
    pub const fn gen_ai_name(self) -> &'static str {
        match self {
            Self::Tts => "text_to_speech",
            Self::Stt => "speech_to_text",
            Self::ImageGen => "generate_image",
            Self::ImageEdit => "edit_image",
            Self::VideoGen | Self::VideoFromImage => "generate_video",
        }
    }

    /// Reads the word on the wire, aliases included.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "video_from_img" => Ok(Self::VideoFromImage),
            other => other.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.as_str()), Ok(*operation));
        }
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse(), Ok(*provider));
        }
    }

    #[test]
    fn alias_of_the_library_and_n8n_is_read() {
        assert_eq!(Operation::parse("video_from_img"), Ok(Operation::VideoFromImage));
    }

    #[test]
    fn unknown_word_names_the_known_ones() {
        let message = Operation::parse("dance").unwrap_err();
        assert!(message.contains("video_from_image"), "{message}");
    }
}
