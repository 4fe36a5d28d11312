//! One look at everything.

use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ask::{AskError, answer};
use crate::api::v1alpha1 as api;
use crate::config::resources::{self, Object};
use crate::config::{Loaded, Surroundings};

/// Objects the server sends in one answer at most: a BanSlice may have 50 kB.
const PAGE: u32 = 250;

/// Whose namespaced objects are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every namespace's.
    All,
    /// One namespace's: also for those who may read no other.
    Namespace(String),
}

/// Everything the view is made of.
#[derive(Debug, Default)]
pub struct Objects {
    /// Jails, filters and lists, validated as the agents do.
    pub loaded: Loaded,
    /// The same Jails with what the controller says of them.
    pub jails: Vec<api::Jail>,
    /// RateLimits with what the controller says of them.
    pub limits: Vec<api::RateLimit>,
    /// All BanSlices.
    pub slices: Vec<api::BanSlice>,
    /// All Pardons.
    pub pardons: Vec<api::Pardon>,
    /// The cluster's own prefixes.
    pub house: Vec<api::HouseMember>,
    /// What nodes counted that is no ban yet.
    pub sightings: Vec<api::SightingList>,
    /// The agents.
    pub agents: Vec<api::NodeAgent>,
}

/// Reads everything.
///
/// # Errors
/// When the server does not answer, knows a kind not, or lets us not read it.
pub async fn read(client: &Client, scope: &Scope) -> Result<Objects, AskError> {
    let (declared, slices, pardons, houses, sightings, agents) = tokio::try_join!(
        declared(client, scope),
        all::<api::BanSlice>(client),
        all::<api::Pardon>(client),
        all::<api::House>(client),
        all::<api::SightingList>(client),
        all::<api::NodeAgent>(client),
    )?;
    let house = houses.into_iter().filter(|house| house.name_any() == api::HouseSpec::NAME);
    let jails = declared.iter().filter(|(kind, _)| kind == "Jail");
    let jails = jails.filter_map(|(_, value)| serde_json::from_value(value.clone()).ok()).collect();
    let limits = declared.iter().filter(|(kind, _)| kind == "RateLimit");
    let limits = limits.filter_map(|(_, value)| serde_json::from_value(value.clone()).ok()).collect();
    Ok(Objects {
        loaded: judged(declared),
        jails,
        limits,
        slices,
        pardons,
        house: house.flat_map(|house| house.spec.members).collect(),
        sightings,
        agents,
    })
}

/// Reads what people declared, and nothing that machines wrote.
///
/// # Errors
/// As [`read`].
pub async fn configuration(client: &Client, scope: &Scope) -> Result<Loaded, AskError> {
    Ok(judged(declared(client, scope).await?))
}

/// As [`configuration`], without the lists where we may read none: who keeps the jails of one namespace need not.
///
/// # Errors
/// As [`read`].
pub async fn readable(client: &Client, scope: &Scope) -> Result<Loaded, AskError> {
    match declared(client, scope).await {
        Err(AskError::Forbidden(what)) => {
            tracing::warn!("you may not {what}: judged without ban lists and allow lists");
            Ok(judged(own(client, scope).await?))
        }
        answer => Ok(judged(answer?)),
    }
}

fn judged(declared: Vec<(String, Value)>) -> Loaded {
    let at = Some(jiff::Timestamp::now().into());
    let around = Surroundings { cluster: true, at, ..Surroundings::default() };
    let objects = declared.into_iter().map(|(kind, value)| {
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        Object::from_json(&format!("{kind} {name}"), value)
    });
    resources::assemble(objects.collect(), &[], None, &around)
}

pub(super) type Raw = Vec<(String, Value)>;

async fn own(client: &Client, scope: &Scope) -> Result<Raw, AskError> {
    let (jails, filters, limits) = tokio::try_join!(
        raw::<api::Jail>(client, Some(scope)),
        raw::<api::Filter>(client, Some(scope)),
        raw::<api::RateLimit>(client, Some(scope)),
    )?;
    Ok([jails, filters, limits].concat())
}

async fn declared(client: &Client, scope: &Scope) -> Result<Raw, AskError> {
    let (own, bans, allowed) = tokio::try_join!(
        own(client, scope),
        raw::<api::BanList>(client, None),
        raw::<api::AllowList>(client, None),
    )?;
    Ok([own, bans, allowed].concat())
}

/// Objects of a kind as they are, for [`crate::config`] to judge; no type refuses them.
pub(super) async fn raw<K>(client: &Client, scope: Option<&Scope>) -> Result<Raw, AskError>
where
    K: Resource<DynamicType = ()>,
{
    let (kind, resource) = (K::kind(&()), ApiResource::erase::<K>(&()));
    let api: Api<DynamicObject> = match scope {
        Some(Scope::Namespace(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    };
    let objects = pages(&api, &K::plural(&())).await?;
    let value = |mut object: DynamicObject| {
        object.metadata.managed_fields = None;
        let mut value = serde_json::to_value(&object).ok()?;
        // In lists the server may leave both out.
        let fields = value.as_object_mut()?;
        fields.insert("apiVersion".into(), K::api_version(&()).into());
        fields.insert("kind".into(), kind.clone().into());
        Some((kind.to_string(), value))
    };
    Ok(objects.into_iter().filter_map(value).collect())
}

/// Objects of a kind that machines write; one that cannot be read is left out and named.
async fn all<K>(client: &Client) -> Result<Vec<K>, AskError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let objects = pages(&api, &K::plural(&())).await?;
    let sound = |guard: DeserializeGuard<K>| {
        let told = |invalid: &kube::core::error_boundary::InvalidObject| {
            let name = invalid.metadata.name.clone().unwrap_or_default();
            tracing::warn!(kind = %K::kind(&()), name, error = invalid.error, "an object cannot be read and is left out");
        };
        guard.0.inspect_err(told).ok()
    };
    Ok(objects.into_iter().filter_map(sound).collect())
}

async fn pages<K>(api: &Api<K>, kind: &str) -> Result<Vec<K>, AskError>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut found = Vec::new();
    let mut wanted = ListParams::default().limit(PAGE);
    loop {
        let page = answer(kind, api.list(&wanted)).await?;
        found.extend(page.items);
        match page.metadata.continue_ {
            Some(more) if !more.is_empty() => wanted = wanted.continue_token(&more),
            _ => return Ok(found),
        }
    }
}
