//! WORKDIR: a step that makes a folder where it is missing.

use std::path::Path;

use longshore_dockerfile::Word;
use longshore_snapshot::Snapshot;

use crate::key::KeyWriter;
use crate::origin::failed;
use crate::place::{Destination, Placer};
use crate::remote;
use crate::solve::{At, Mode, Solve, Stop};
use crate::state::StageState;
use crate::step::Doing;

impl<'a> Solve<'a> {
    /// WORKDIR: a folder that is made where it is missing.
    pub(crate) fn workdir(
        &self,
        state: &mut StageState,
        at: At<'_>,
        word: &Word,
        mode: Mode,
    ) -> Result<(), Stop> {
        let typed = state.expand(&word.text, self.file.escape).map_err(|error| failed(&at, error))?;
        let folder = state.absolute(&typed);
        let folder = if folder == "/" { folder } else { folder.trim_end_matches('/').to_owned() };
        state.config.config.working_dir.clone_from(&folder);
        let slash = if typed.ends_with('/') && folder != "/" { "/" } else { "" };
        let created_by = format!("WORKDIR {folder}{slash}");
        if folder == "/" {
            state.note(created_by);
            return Ok(());
        }
        let user = state.config.config.user.clone();
        let mut key = KeyWriter::new("workdir");
        key.key(&state.key).text(&folder).text(&user);
        // The time of what is made; it is left as it is where no time is asked for.
        key.optional(self.request.source_date_epoch.map(|epoch| epoch.to_string()).as_deref());
        let below = state.clone();
        let key = self.step(&below, &at, key.finish(), mode, &mut |doing| {
            let owner = if user.is_empty() { (0, 0) } else { self.owner(doing.state, &at, &user)? };
            self.make_folder(doing, &at, Path::new(&folder), owner)
        })?;
        state.push(key, key, created_by);
        Ok(())
    }

    fn make_folder(
        &self,
        doing: &Doing<'_>,
        at: &At<'_>,
        folder: &Path,
        owner: (u32, u32),
    ) -> Result<Snapshot, Stop> {
        let chain = self.chain(doing.state)?;
        let mut draft = self.snapshots().draft(&chain)?;
        let mut writer = draft.writer(chain.view(&self.events)?)?;
        let to = Destination {
            path: crate::tree::below_root(folder),
            is_folder: true,
            owner: Some(owner),
            mode: None,
            time: self.request.source_date_epoch,
            now: self.now,
        };
        let nothing = remote::nothing();
        Placer::new(&nothing, &mut writer, &to, &self.events).prepare().map_err(|error| failed(at, error))?;
        drop(writer);
        Ok(draft.commit(&doing.key.snapshot())?)
    }
}
