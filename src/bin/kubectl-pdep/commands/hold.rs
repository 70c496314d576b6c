//! `suspend`, `pause` and `resume`.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::{
    cli::Named,
    cluster::{Cluster, Kind, Target, stored},
    failure::Failure,
    output::list,
};

/// What holds something back: a field of some kinds' spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Suspend,
    Pause,
}

impl Hold {
    const fn field(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Pause => "paused",
        }
    }

    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Suspend => &[Kind::Deployment, Kind::Organization],
            Self::Pause => &[Kind::Settings, Kind::Organization],
        }
    }

    /// Whether it holds something back now.
    fn is_on(self, object: &DynamicObject) -> bool {
        object.data.pointer(&format!("/spec/{}", self.field())) == Some(&Value::Bool(true))
    }
}

pub async fn suspend(args: &Named, cluster: &Cluster) -> Result<(), Failure> {
    let (kind, object) = one(Hold::Suspend, &args.name, cluster).await?;
    let what = match kind {
        Kind::Organization => "nothing is written remotely for anything that uses it",
        Kind::Deployment | Kind::Settings => "nothing new is started; a run that is under way goes on",
    };
    set(Hold::Suspend, kind, args, object, what, cluster).await
}

pub async fn pause(args: &Named, cluster: &Cluster) -> Result<(), Failure> {
    let (kind, object) = one(Hold::Pause, &args.name, cluster).await?;
    let what = match kind {
        Kind::Organization => "runs of all of its stacks wait in Pulumi Cloud's queue",
        Kind::Settings | Kind::Deployment => "runs of its stack wait in Pulumi Cloud's queue",
    };
    set(Hold::Pause, kind, args, object, what, cluster).await
}

async fn set(
    hold: Hold,
    kind: Kind,
    args: &Named,
    object: DynamicObject,
    what: &str,
    cluster: &Cluster,
) -> Result<(), Failure> {
    let (word, name) = (kind.word(), &args.name.name);
    if hold.is_on(&object) {
        let said = format!("{word}/{name}: spec.{} is true already; {what}\n", hold.field());
        return args.answer.give(&said, &stored(object, kind)?);
    }
    let held = cluster.merge(kind, name, &json!({"spec": {hold.field(): true}})).await?;
    args.answer.give(&format!("{word}/{name}: {what}, until `kubectl pdep resume {word}/{name}`\n"), &held)
}

pub async fn resume(args: &Named, cluster: &Cluster) -> Result<(), Failure> {
    let target = &args.name;
    let found = candidates(&Kind::ALL, target, cluster).await?;
    if found.is_empty() {
        return Err(none(&Kind::ALL, target, cluster));
    }
    let mut held: Vec<(Kind, Vec<Hold>)> = found.iter().map(|(kind, object)| (*kind, holds(*kind, object))).collect();
    held.retain(|(_, holds)| !holds.is_empty());
    let (kind, holds) = match held.as_slice() {
        [] => {
            let mut all =
                found.into_iter().map(|(kind, object)| stored(object, kind)).collect::<Result<Vec<_>, _>>()?;
            let free = if all.len() == 1 { all.remove(0) } else { list(all) };
            return args.answer.give(&format!("{target}: nothing is suspended or paused here\n"), &free);
        }
        [(kind, holds)] => (*kind, holds),
        several => return Err(ambiguous(&target.name, several.iter().map(|(kind, _)| *kind))),
    };
    // An absent `paused` would leave the pause as it is.
    let off = holds.iter().map(|hold| (hold.field().to_owned(), Value::Bool(false)));
    let free = cluster.merge(kind, &target.name, &json!({"spec": off.collect::<Map<_, _>>()})).await?;
    let fields: Vec<String> = holds.iter().map(|hold| format!("spec.{}", hold.field())).collect();
    let said = format!("{}/{}: goes on ({} is false)\n", kind.word(), target.name, fields.join(" and "));
    args.answer.give(&said, &free)
}

/// What holds an object back.
fn holds(kind: Kind, object: &DynamicObject) -> Vec<Hold> {
    let is_one = |hold: &Hold| hold.kinds().contains(&kind) && hold.is_on(object);
    [Hold::Suspend, Hold::Pause].into_iter().filter(is_one).collect()
}

/// The one object that is meant.
async fn one(hold: Hold, target: &Target, cluster: &Cluster) -> Result<(Kind, DynamicObject), Failure> {
    let kinds = hold.kinds();
    if let Some(kind) = target.kind.filter(|kind| !kinds.contains(kind)) {
        let instead: Vec<String> = kinds.iter().map(|kind| format!("{}/NAME", kind.word())).collect();
        return Err(Failure::new(format!(
            "{} {} has no spec.{}: write {}",
            kind.word(),
            target.name,
            hold.field(),
            instead.join(" or ")
        )));
    }
    let mut found = candidates(kinds, target, cluster).await?;
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(none(kinds, target, cluster)),
        (Some(only), true) => Ok(only),
        (Some((kind, _)), false) => Err(ambiguous(&target.name, found.iter().map(|(kind, _)| *kind).chain([kind]))),
    }
}

/// The objects of some kinds that have the name.
async fn candidates(kinds: &[Kind], target: &Target, cluster: &Cluster) -> Result<Vec<(Kind, DynamicObject)>, Failure> {
    let mut found = vec![];
    for kind in kinds.iter().filter(|kind| target.kind.is_none_or(|wanted| wanted == **kind)) {
        found.extend(cluster.object(*kind, &target.name).await?.map(|object| (*kind, object)));
    }
    Ok(found)
}

fn none(kinds: &[Kind], target: &Target, cluster: &Cluster) -> Failure {
    let words: Vec<&str> = match target.kind {
        Some(kind) => vec![kind.word()],
        None => kinds.iter().map(|kind| kind.word()).collect(),
    };
    cluster.missing(&words.join(" or "), &target.name)
}

fn ambiguous(name: &str, kinds: impl Iterator<Item = Kind>) -> Failure {
    let names: Vec<String> = kinds.map(|kind| format!("{}/{name}", kind.word())).collect();
    Failure::new(format!("several kinds have something called {name}: write {}", names.join(" or ")))
}
