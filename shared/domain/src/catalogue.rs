//! What the providers offer: models, their options, limits and prices. Data in `shared/domain/catalogue/*.toml`,
//! one file a provider, compiled in; facts and their sources stand there.

mod estimate;
mod file_rule;
mod matrix;
mod model;
mod open;
mod overrides;
mod price;
#[cfg(test)]
mod replicate_tests;
mod settings;
#[cfg(test)]
mod stability_tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::operation::{Operation, Provider};
use crate::policy::Polling;

pub use file_rule::{FileFault, FileRule};
pub use model::{LengthUnit, Model, OptionKind, OptionSpec, PromptLimit, PromptRule};
pub use open::{IdForm, OpenModels};
pub use price::{Price, PriceVariant};
pub use settings::CatalogueSettings;

const BUILTIN: &[(&str, &str)] = &[
    ("elevenlabs.toml", include_str!("../catalogue/elevenlabs.toml")),
    ("deepgram.toml", include_str!("../catalogue/deepgram.toml")),
    ("fal.toml", include_str!("../catalogue/fal.toml")),
    ("replicate.toml", include_str!("../catalogue/replicate.toml")),
    ("stability.toml", include_str!("../catalogue/stability.toml")),
    ("runway.toml", include_str!("../catalogue/runway.toml")),
    ("pika.toml", include_str!("../catalogue/pika.toml")),
    ("luma.toml", include_str!("../catalogue/luma.toml")),
];

/// Everything that can be asked for. A provider and operation that are not in it are not served.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    models: Vec<Arc<Model>>,
    open: Vec<OpenModels>,
    result_lifetimes: BTreeMap<Provider, Duration>,
}

/// A model for a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The one that will be asked.
    pub model: Arc<Model>,
    /// What the caller should know.
    pub warnings: Vec<String>,
}

/// Why a catalogue cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the catalogue `{file}` is wrong: {problem}")]
pub struct CatalogueError {
    /// Which file.
    pub file: String,
    /// In words.
    pub problem: String,
}

/// Why no model can be chosen. Each variant carries what would have been right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unserved {
    /// The provider is known, but nothing of it is in the catalogue.
    Provider {
        /// Who does the operation instead.
        served_by: Vec<Provider>,
    },
    /// The provider does other things.
    Operation {
        /// What it does.
        does: Vec<Operation>,
        /// Who does the operation instead.
        served_by: Vec<Provider>,
    },
    /// The provider does the operation, but not with this model.
    Model {
        /// The models of the provider for the operation, the default first.
        models: Vec<String>,
    },
}

impl Catalogue {
    /// The compiled-in catalogue. A test proves that it reads; a program that cannot read it must not start.
    pub fn builtin() -> Result<Self, CatalogueError> {
        Self::from_files(BUILTIN.iter().copied())
    }

    /// A catalogue of other files, given as name and text.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CatalogueError> {
        let mut catalogue = Self { models: Vec::new(), open: Vec::new(), result_lifetimes: BTreeMap::new() };
        for (file, text) in files {
            let wrong = |problem: String| CatalogueError { file: file.to_owned(), problem };
            let entries: ProviderFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
            catalogue.take(entries).map_err(wrong)?;
        }
        catalogue.check()?;
        Ok(catalogue)
    }

    fn take(&mut self, entries: ProviderFile) -> Result<(), String> {
        let ProviderFile { provider, pixels_per_megapixel, result_lifetime_s, options, model, open_models } =
            entries;
        if let Some(seconds) = result_lifetime_s {
            self.result_lifetimes.insert(provider, Duration::from_secs(seconds));
        }
        for entry in model {
            self.models.push(Arc::new(entry.resolve(provider, pixels_per_megapixel, &options)?));
        }
        for entry in open_models {
            self.open.push(entry.resolve(provider, pixels_per_megapixel, &options)?);
        }
        Ok(())
    }

    /// Every entry, in the order of the files. A model stands twice when its options differ by operation.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().map(Arc::as_ref)
    }

    /// What is said about models that are not listed one by one.
    pub fn open_models(&self) -> &[OpenModels] {
        &self.open
    }

    /// One entry, also one of a model that is not listed but taken all the same.
    pub fn model(&self, provider: Provider, operation: Operation, id: &str) -> Option<Arc<Model>> {
        let listed = self.serving(provider, operation).find(|model| model.id == id).cloned();
        listed.or_else(|| self.open.iter().find_map(|open| open.model(provider, operation, id)))
    }

    /// The wanted model, or the default one for the operation; by the operator's wish, another in its place.
    pub fn choose(
        &self,
        provider: Provider,
        operation: Operation,
        id: Option<&str>,
    ) -> Result<Chosen, Unserved> {
        let found = match id {
            Some(id) => self.model(provider, operation, id),
            None => self
                .serving(provider, operation)
                .find(|model| model.default_for.contains(&operation))
                .cloned(),
        };
        let asked = found.ok_or_else(|| self.unserved(provider, operation))?;
        let mut warnings = Vec::new();
        let mut model = Arc::clone(&asked);
        if let Some(alias) = &asked.alias
            && let Some(other) = self.model(provider, operation, alias)
        {
            warnings.push(format!("the model `{}` is served as `{alias}`", asked.id));
            model = other;
        }
        if let Some(date) = &model.retired_on {
            warnings.push(format!(
                "the provider has retired `{}` on {date} and will probably refuse it",
                model.id
            ));
        }
        if model.is_open && self.serving(provider, operation).all(|listed| listed.id != model.id) {
            warnings.push(format!(
                "the model `{}` is not in the catalogue: its options are not checked, and its cost is a guess",
                model.id
            ));
        }
        Ok(Chosen { model, warnings })
    }

    /// Who does the operation.
    pub fn providers_for(&self, operation: Operation) -> Vec<Provider> {
        let all = self.models.iter().filter(|model| model.operations.contains(&operation));
        all.map(|model| model.provider).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What the provider does; empty when nothing of it is in the catalogue.
    pub fn operations_of(&self, provider: Provider) -> Vec<Operation> {
        let all = self.models.iter().filter(|model| model.provider == provider);
        all.flat_map(|model| model.operations.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Polling limits of models that have their own, named `provider/model` as in [`crate::policy::Policy::polling_by`];
    /// those of models that are not listed are named `provider/*/operation`.
    pub fn polling_overrides(&self) -> BTreeMap<String, Polling> {
        let own = |model: &Model| Some((format!("{}/{}", model.provider, model.id), model.polling?));
        let open = self.open.iter().flat_map(|open| {
            let name = |operation: &Operation| format!("{}/*/{operation}", open.like.provider);
            open.like
                .operations
                .iter()
                .filter_map(move |operation| Some((name(operation), open.like.polling?)))
        });
        self.models().filter_map(own).chain(open).collect()
    }

    /// How long links to results work at least, by provider. Results of the others come with an answer.
    pub fn result_lifetimes(&self) -> BTreeMap<Provider, Duration> {
        self.result_lifetimes.clone()
    }

    fn serving(&self, provider: Provider, operation: Operation) -> impl Iterator<Item = &Arc<Model>> {
        self.models
            .iter()
            .filter(move |model| model.provider == provider && model.operations.contains(&operation))
    }

    fn unserved(&self, provider: Provider, operation: Operation) -> Unserved {
        let does = self.operations_of(provider);
        let served_by = self.providers_for(operation);
        if does.is_empty() {
            return Unserved::Provider { served_by };
        }
        if !does.contains(&operation) {
            return Unserved::Operation { does, served_by };
        }
        let mut models: Vec<&Arc<Model>> = self.serving(provider, operation).collect();
        models.sort_by_key(|model| !model.default_for.contains(&operation));
        Unserved::Model { models: models.into_iter().map(|model| model.label()).collect() }
    }

    fn check(&self) -> Result<(), CatalogueError> {
        let mut seen = BTreeSet::new();
        for model in &self.models {
            let wrong =
                |problem: String| CatalogueError { file: format!("{}.toml", model.provider), problem };
            for operation in &model.operations {
                if !seen.insert((model.provider, *operation, model.id.as_str())) {
                    return Err(wrong(format!("`{}` stands twice for {operation}", model.id)));
                }
                let defaults = self
                    .serving(model.provider, *operation)
                    .filter(|other| other.default_for.contains(operation))
                    .count();
                if defaults != 1 {
                    return Err(wrong(format!(
                        "{operation} has {defaults} default models, one was expected"
                    )));
                }
            }
            if let Some(alias) = &model.alias {
                let lost = model.operations.iter().find(|operation| {
                    self.model(model.provider, **operation, alias).is_none_or(|other| other.alias.is_some())
                });
                if let Some(operation) = lost {
                    return Err(wrong(format!(
                        "`{}` is an alias of `{alias}`, which does not do {operation} by itself",
                        model.id
                    )));
                }
            }
            if let Some(other) =
                model.default_for.iter().find(|operation| !model.operations.contains(operation))
            {
                return Err(wrong(format!(
                    "`{}` is the default for {other}, which it does not do",
                    model.id
                )));
            }
        }
        Ok(())
    }
}

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderFile {
    provider: Provider,
    /// How the provider counts, for prices a megapixel.
    #[serde(default)]
    pixels_per_megapixel: Option<u64>,
    /// How long a link to a result works at least.
    #[serde(default)]
    result_lifetime_s: Option<u64>,
    /// Options that several models share, by name.
    #[serde(default)]
    options: BTreeMap<String, OptionSpec>,
    #[serde(default)]
    model: Vec<model::Entry>,
    /// Models that are not listed one by one.
    #[serde(default)]
    open_models: Vec<open::OpenEntry>,
}

#[cfg(test)]
mod deepgram_tests;
#[cfg(test)]
mod elevenlabs_tests;
#[cfg(test)]
mod fal_tests;
#[cfg(test)]
mod pika_tests;
#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        provider = "luma"
        [options.loop]
        type = "boolean"
        [[model]]
        id = "ray-2"
        operations = ["video_gen"]
        default_for = ["video_gen"]
        prompt = "required"
        options = ["loop"]
        price = { unit = "second", micro_usd = 1, source = "s", date = "2026-01-01" }
    "#;

    fn builtin() -> Catalogue {
        Catalogue::builtin().unwrap()
    }

    #[test]
    fn the_builtin_catalogue_reads_and_holds_the_models_of_the_page() {
        let catalogue = builtin();
        for (provider, operation, id) in [
            (Provider::ElevenLabs, Operation::Tts, "eleven_multilingual_v2"),
            (Provider::ElevenLabs, Operation::Tts, "eleven_turbo_v2"),
            (Provider::Fal, Operation::ImageGen, "fal-ai/flux/schnell"),
            (Provider::Fal, Operation::ImageGen, "fal-ai/stable-diffusion-v3-medium"),
            (Provider::Runway, Operation::VideoFromImage, "gen3a_turbo"),
        ] {
            assert!(catalogue.model(provider, operation, id).is_some(), "{provider} {operation} {id}");
        }
    }

    #[test]
    fn each_served_operation_has_its_default() {
        for (provider, operation, id) in [
            (Provider::ElevenLabs, Operation::Tts, "eleven_multilingual_v2"),
            (Provider::Fal, Operation::ImageGen, "fal-ai/flux/schnell"),
            (Provider::Runway, Operation::VideoGen, "gen4.5"),
            (Provider::Runway, Operation::VideoFromImage, "gen4_turbo"),
        ] {
            assert_eq!(
                builtin().choose(provider, operation, None).map(|chosen| chosen.model.id.clone()),
                Ok(id.to_owned())
            );
        }
    }

    #[test]
    fn what_is_not_served_names_what_is() {
        let small = Catalogue::from_files([("small", SMALL)]).unwrap();
        assert_eq!(
            small.choose(Provider::Runway, Operation::VideoGen, None),
            Err(Unserved::Provider { served_by: vec![Provider::Luma] })
        );
        let catalogue = builtin();
        assert_eq!(
            catalogue.choose(Provider::Fal, Operation::Tts, None),
            Err(Unserved::Operation {
                does: vec![
                    Operation::ImageGen,
                    Operation::ImageEdit,
                    Operation::VideoGen,
                    Operation::VideoFromImage
                ],
                served_by: vec![Provider::ElevenLabs, Provider::Deepgram]
            })
        );
        assert_eq!(
            catalogue.choose(Provider::Runway, Operation::VideoFromImage, Some("gen5")),
            Err(Unserved::Model {
                models: vec![
                    "gen4_turbo".into(),
                    "gen4.5".into(),
                    "gen3a_turbo (retired on 2026-07-30)".into()
                ]
            })
        );
    }

    #[test]
    fn a_model_is_offered_only_for_its_operations() {
        let catalogue = builtin();
        assert!(catalogue.choose(Provider::Runway, Operation::VideoGen, Some("gen4_turbo")).is_err());
        assert!(catalogue.choose(Provider::Runway, Operation::VideoGen, Some("gen3a_turbo")).is_err());
    }

    #[test]
    fn options_may_differ_by_operation() {
        let ratios = |operation| {
            let catalogue = builtin();
            catalogue.model(Provider::Runway, operation, "gen4.5").unwrap().options["ratio"].one_of.len()
        };
        assert_eq!((ratios(Operation::VideoGen), ratios(Operation::VideoFromImage)), (4, 12));
    }

    #[test]
    fn a_wrong_catalogue_is_refused_with_its_reason() {
        assert!(Catalogue::from_files([("small", SMALL)]).is_ok());
        for (from, to, reason) in [
            ("options = [\"loop\"]", "options = [\"lop\"]", "`lop`"),
            ("default_for = [\"video_gen\"]", "", "0 default models"),
            ("default_for = [\"video_gen\"]", "default_for = [\"video_gen\", \"tts\"]", "does not do"),
            ("unit = \"second\"", "unit = \"megapixel\"", "pixels_per_megapixel"),
            ("type = \"boolean\"", "type = \"boolean\"\nmaximum = 3", "maximum"),
        ] {
            let error = Catalogue::from_files([("small", SMALL.replace(from, to).as_str())]).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn an_image_is_asked_about_more_often_than_a_video() {
        let overrides = builtin().polling_overrides();
        let polling = overrides.get("fal/fal-ai/flux/schnell").unwrap();
        assert_eq!((polling.interval_ms, polling.max_checks, polling.timeout_ms), (2_000, 300, 600_000));
        assert!(!overrides.contains_key("runway/gen4_turbo"));
    }
}
