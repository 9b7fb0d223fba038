//! Loading the model that is served, and generating its first token.

use crate::app::{App, Served};
use crate::args::ServeArgs;
use crate::hub;
use crate::load::{self, CachePlan};
use crate::machine;
use crate::plan::Need;
use crate::plan::start::need_of;
use crate::sampling;
use crate::words::Words;
use anyhow::{Result, bail};
use engine::{Engine, EngineConfig, Event, GenerateRequest, KvMemory};
use kernels::PAGE_SIZE;
use model::{Checkpoint, LanguageModel, Transformer};
use std::path::Path;

/// The architecture whose hosted names the server answers to.
const ARCHITECTURE: &str = "mistral4";
/// Names that clients of the hosted service use for it.
const HOSTED_NAMES: [&str; 4] = [
    "mistral-small-4",
    "mistral-small-latest",
    "mistral-small-2603",
    "mistralai/Mistral-Small-4-119B-2603",
];

/// Loads the model, puts it in place, and makes sure that it generates.
pub fn load(args: &ServeArgs, app: &App) -> Result<()> {
    let loaded = load::model(&args.model)?;
    let words = Words::of(&loaded.checkpoint)?;
    let eyes = load::eyes(&args.model, &loaded, &words)?;
    let cache = cache_plan(args, &loaded.transformer)?;
    let names = names(args, &loaded.checkpoint)?;
    let advice = sampling::advice(&loaded.checkpoint)?;
    let engine = Engine::start(
        Box::new(loaded.transformer),
        EngineConfig {
            max_batch: args.max_batch,
            max_queue: args.max_queue,
            max_context: Some(cache.max_context),
            kv_memory: KvMemory::Pages(cache.pages),
            ..EngineConfig::default()
        },
    )?;
    tracing::info!(model = %names[0], max_context = engine.max_context(), kv_pages = cache.pages, "loaded");
    let served = app.serve(Served {
        names,
        engine,
        words,
        eyes,
        advice,
    });
    first_token(served)?;
    app.now_ready();
    tracing::info!("ready");
    Ok(())
}

/// The cache: as large as asked, or a full context for each reply of a batch as far as memory allows.
fn cache_plan(args: &ServeArgs, transformer: &Transformer) -> Result<CachePlan> {
    let Some(asked) = args.kv_memory else {
        return load::cache_plan(&args.model, transformer, args.max_batch);
    };
    let pages = asked / transformer.page_bytes().max(1);
    let limit = transformer.max_context();
    let context = args.model.ctx.unwrap_or(limit);
    if context == 0 || context > limit {
        bail!(
            "--ctx {context}: expected 1 to {limit}, the model's context\nGive a number in that range"
        );
    }
    let free = machine::available_memory();
    room_for(asked as u64, free, &need_of(transformer), args.model.force)?;
    if pages == 0 || (args.model.ctx.is_some() && pages * PAGE_SIZE < context) {
        bail!(
            "--kv-memory {}: a KV cache of {context} tokens takes {}\nGive more, or a smaller --ctx",
            load::bytes(asked as u64),
            load::bytes((context.div_ceil(PAGE_SIZE) * transformer.page_bytes()) as u64)
        );
    }
    Ok(CachePlan {
        max_context: context.min(pages * PAGE_SIZE),
        pages,
    })
}

/// Makes sure that a cache of `asked` bytes fits beside the weights where `free` bytes are.
fn room_for(asked: u64, free: Option<u64>, need: &Need, forced: bool) -> Result<()> {
    let Some(free) = free else { return Ok(()) };
    if need.cache_room(free, Some(asked), forced) >= asked {
        return Ok(());
    }
    let taken = need.weights.saturating_add(need.work_bytes());
    bail!(
        "--kv-memory {}: {} are free, and weights and work take {} of them\n\
         Give at most {}; --force starts it all the same",
        load::bytes(asked),
        load::bytes(free),
        load::bytes(taken),
        load::bytes(free.saturating_sub(taken))
    )
}

/// The checkpoint's own name, then aliases.
fn names(args: &ServeArgs, checkpoint: &Checkpoint) -> Result<Vec<String>> {
    let mut names = match load::named(&args.model) {
        None => vec![load::BUILT_IN.to_owned()],
        Some(model) if hub::resolve(model)?.is_some() => hub_names(&model.display().to_string()),
        Some(_) => vec![own_name(&checkpoint.path)],
    };
    let is_hosted = checkpoint.config.architecture == ARCHITECTURE;
    let hosted = HOSTED_NAMES
        .iter()
        .filter(|_| is_hosted)
        .map(|name| (*name).to_owned());
    for name in args.alias.iter().cloned().chain(hosted) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A model of the hub goes by what was typed, and without its variant too, as the hub's own services name it.
fn hub_names(typed: &str) -> Vec<String> {
    match typed.rsplit_once(':') {
        Some((repo, variant)) if !variant.starts_with("//") => {
            vec![typed.to_owned(), repo.to_owned()]
        }
        _ => vec![typed.to_owned()],
    }
}

/// The last part of a path: where on this machine the model lies is nobody's business.
fn own_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_file = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let name = if is_file {
        path.file_stem()
    } else {
        path.file_name()
    };
    name.map_or_else(
        || "model".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Generates one token, so that whoever is told "ready" can rely on it.
fn first_token(served: &Served) -> Result<()> {
    let prompt = served.words.raw_prompt("Hello")?;
    let events = served.engine.submit(GenerateRequest {
        max_tokens: Some(1),
        ..GenerateRequest::new(prompt.ids)
    })?;
    for event in events {
        match event {
            Event::Token { .. } => return Ok(()),
            Event::Failed(what) => bail!("the model does not generate: {what}"),
            _ => {}
        }
    }
    bail!("the model did not generate a token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_does_not_fit_is_refused_with_the_numbers() {
        const GIB: u64 = 1 << 30;
        let need = Need {
            weights: 4 * GIB,
            kv_per_token: 23_040,
            max_context: 1 << 20,
        };
        let room = |asked, free, forced| room_for(asked, free, &need, forced);
        assert!(room(3 * GIB, Some(8 * GIB), false).is_ok());
        let text = room(5 * GIB, Some(8 * GIB), false).unwrap_err().to_string();
        for part in [
            "5.0 GiB",
            "8.0 GiB are free",
            "4.1 GiB",
            "at most 3.9 GiB",
            "--force",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        assert!(room(5 * GIB, Some(GIB), false).is_err());
        assert!(room(5 * GIB, Some(8 * GIB), true).is_ok());
        assert!(room(5 * GIB, None, false).is_ok());
    }

    #[test]
    fn a_name_tells_nothing_of_the_machine() {
        assert_eq!(own_name(Path::new("/somewhere/models/Small-4")), "Small-4");
        assert_eq!(
            own_name(Path::new("/somewhere/Small-4.Q4_K_M.gguf")),
            "Small-4.Q4_K_M"
        );
        assert_eq!(own_name(Path::new("/")), "model");
        assert_eq!(
            hub_names("owner/repo:Q4_K_M"),
            ["owner/repo:Q4_K_M", "owner/repo"]
        );
        assert_eq!(hub_names("owner/repo"), ["owner/repo"]);
        assert_eq!(hub_names("hf://owner/repo"), ["hf://owner/repo"]);
    }
}
