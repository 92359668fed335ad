//! Which module uses which, and the circles in that.

use std::collections::{BTreeMap, BTreeSet};

use super::ModulePath;
use super::paths::Reader;

/// Who uses whom. What leads to a module above or below is left out.
#[derive(Debug)]
pub(super) struct Graph {
    /// For each module those it uses, with the first line that does.
    uses: BTreeMap<ModulePath, BTreeMap<ModulePath, usize>>,
}

impl Graph {
    pub(super) fn new(modules: &BTreeSet<ModulePath>, reader: &Reader) -> Self {
        let is_test =
            |module: &ModulePath| reader.tests.iter().any(|test| module.starts_with(test));
        let mut uses: BTreeMap<ModulePath, BTreeMap<ModulePath, usize>> = BTreeMap::new();
        for reference in &reader.references {
            let (from, to) = (&reference.from, module_in(&reference.to, modules));
            if !from.starts_with(&to) && !to.starts_with(from) && !is_test(from) && !is_test(&to) {
                let of_module = uses.entry(from.clone()).or_default();
                of_module.entry(to).or_insert(reference.line);
            }
        }
        Self { uses }
    }

    /// Returns the largest sets of modules of which each leads to each other.
    pub(super) fn circles(&self) -> Vec<Vec<ModulePath>> {
        let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> = self
            .uses
            .keys()
            .map(|module| (module, self.reached(module)))
            .collect();
        let leads = |from, to| {
            reached
                .get(from)
                .is_some_and(|reached| reached.contains(to))
        };
        let mut found: Vec<Vec<ModulePath>> = Vec::new();
        for module in self.uses.keys().filter(|module| leads(*module, *module)) {
            let circle = self
                .uses
                .keys()
                .filter(|other| leads(module, *other) && leads(*other, module));
            let circle: Vec<ModulePath> = circle.cloned().collect();
            if !found.contains(&circle) {
                found.push(circle);
            }
        }
        found
    }

    /// Returns the uses between the modules of a circle.
    pub(super) fn edges_within(
        &self,
        circle: &[ModulePath],
    ) -> Vec<(&ModulePath, &ModulePath, usize)> {
        let mut found = Vec::new();
        for (from, used) in self.uses.iter().filter(|(from, _)| circle.contains(from)) {
            let inside = used.iter().filter(|(to, _)| circle.contains(to));
            found.extend(inside.map(|(to, line)| (from, to, *line)));
        }
        found
    }

    fn reached(&self, from: &ModulePath) -> BTreeSet<&ModulePath> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&ModulePath> = self
            .uses
            .get(from)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.uses.get(module).into_iter().flat_map(BTreeMap::keys));
            }
        }
        reached
    }
}

/// Returns the module that has what `path` names: the longest beginning of the path that is a module.
fn module_in(path: &ModulePath, modules: &BTreeSet<ModulePath>) -> ModulePath {
    let mut module = path.clone();
    while !module.is_empty() && !modules.contains(&module) {
        module.pop();
    }
    module
}
