//! What the providers offer: models, their options, limits and prices. Data in `shared/domain/catalogue/*.toml`,
//! one file a provider, compiled in; facts and their sources stand there.

mod estimate;
mod model;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::operation::{Operation, Provider};
use crate::policy::Polling;

pub use model::{LengthUnit, Model, OptionKind, OptionSpec, Price, PriceUnit, PromptLimit, PromptRule};

const BUILTIN: &[(&str, &str)] = &[
    ("elevenlabs.toml", include_str!("../catalogue/elevenlabs.toml")),
    ("fal.toml", include_str!("../catalogue/fal.toml")),
    ("runway.toml", include_str!("../catalogue/runway.toml")),
];

/// Everything that can be asked for. A provider and operation that are not in it are not served.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    models: Vec<Model>,
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
        let mut models: Vec<Model> = Vec::new();
        for (file, text) in files {
            let wrong = |problem: String| CatalogueError { file: file.to_owned(), problem };
            let entries: ProviderFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
            for entry in entries.model {
                models.push(
                    entry
                        .resolve(entries.provider, entries.pixels_per_megapixel, &entries.options)
                        .map_err(wrong)?,
                );
            }
        }
        let catalogue = Self { models };
        catalogue.check()?;
        Ok(catalogue)
    }

    /// Every entry, in the order of the files. A model stands twice when its options differ by operation.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// One entry.
    pub fn model(&self, provider: Provider, operation: Operation, id: &str) -> Option<&Model> {
        self.serving(provider, operation).find(|model| model.id == id)
    }

    /// The wanted model, or the default one for the operation.
    pub fn choose(
        &self,
        provider: Provider,
        operation: Operation,
        id: Option<&str>,
    ) -> Result<&Model, Unserved> {
        let found = match id {
            Some(id) => self.model(provider, operation, id),
            None => self.serving(provider, operation).find(|model| model.default_for.contains(&operation)),
        };
        found.ok_or_else(|| self.unserved(provider, operation))
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

    /// Polling limits of models that have their own, named `provider/model` as in [`crate::policy::Policy::polling_by`].
    pub fn polling_overrides(&self) -> BTreeMap<String, Polling> {
        let own = |model: &Model| Some((format!("{}/{}", model.provider, model.id), model.polling?));
        self.models.iter().filter_map(own).collect()
    }

    fn serving(&self, provider: Provider, operation: Operation) -> impl Iterator<Item = &Model> {
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
        let mut models: Vec<&Model> = self.serving(provider, operation).collect();
        models.sort_by_key(|model| !model.default_for.contains(&operation));
        Unserved::Model { models: models.into_iter().map(Model::label).collect() }
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
    /// Options that several models share, by name.
    #[serde(default)]
    options: BTreeMap<String, OptionSpec>,
    model: Vec<model::Entry>,
}

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
        assert_eq!(catalogue.models().len(), 15);
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
                builtin().choose(provider, operation, None).map(|model| model.id.clone()),
                Ok(id.to_owned())
            );
        }
    }

    #[test]
    fn what_is_not_served_names_what_is() {
        let catalogue = builtin();
        assert_eq!(
            catalogue.choose(Provider::Luma, Operation::VideoGen, None),
            Err(Unserved::Provider { served_by: vec![Provider::Runway] })
        );
        assert_eq!(
            catalogue.choose(Provider::Fal, Operation::Tts, None),
            Err(Unserved::Operation {
                does: vec![Operation::ImageGen],
                served_by: vec![Provider::ElevenLabs]
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
