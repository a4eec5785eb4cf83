//! The whole host as a value: start it with a configuration, watch it, stop it.

mod built_in;
mod control;
mod fleet;
mod refusal;
pub(crate) mod retire;
mod running;
mod start;
mod unknown;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use self::built_in::BuiltIn;
pub use self::control::Control;
pub(crate) use self::control::Wrong;
#[cfg(test)]
pub(crate) use self::running::Caps;
pub use self::running::{Ready, Running};
pub(crate) use self::unknown::{Known, unknown_names};
use crate::collect::ComponentSource;
use crate::components::{ComponentError, Components};
use crate::config::{self, Config, EMBEDDED_SOURCE};
use crate::outside::Outside;
use crate::sandbox::{
    self, Component, Context, Egress, Fault, FaultClass, GuestError, Limits, LoadError, NetworkError, Notebook,
    PatternError, Plan, Sandbox, Way,
};
use crate::sinks::SinkError;
use crate::state::StateError;

/// How the host is run, beside its configuration.
#[derive(Clone)]
pub struct Options {
    pub outside: Outside,
    pub sandbox: sandbox::Settings,
    /// The component of the sources of the type [`EMBEDDED_SOURCE`]; it is compiled when there is one.
    pub component: Cow<'static, [u8]>,
    /// How long [`Running::stop`] waits for sinks to take what was pulled. What they have not taken then is pulled again.
    pub drain: Duration,
}

impl Options {
    /// The system's clock and network, and 30 s to drain: most supervisors kill after 90 s or less.
    pub fn new(component: impl Into<Cow<'static, [u8]>>) -> Self {
        Self {
            outside: Outside::system(),
            sandbox: sandbox::Settings::default(),
            component: component.into(),
            drain: Duration::from_secs(30),
        }
    }

    /// With room for what the sources of `config` may use.
    #[must_use]
    pub fn with_room_for(mut self, config: &Config) -> Self {
        self.sandbox.limits = config.largest_limits();
        self
    }
}

/// Why the host does not start. Nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Component(#[from] LoadError),
    /// What sources say of their configuration, by source.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Sources(Vec<SourceError>),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("sink {id}: {error}")]
    Sink { id: String, error: SinkError },
}

/// What is wrong with one source: a line for each mistake.
#[derive(Debug, thiserror::Error)]
pub struct SourceError {
    pub id: String,
    pub reason: SourceReason,
}

#[derive(Debug, thiserror::Error)]
pub enum SourceReason {
    #[error(transparent)]
    Guest(#[from] GuestError),
    #[error("there are no quotas of these names: {}. Remove them, or choose from {known}", .names.join(", "))]
    Quotas { names: Vec<String>, known: String },
    #[error(transparent)]
    Component(#[from] Box<ComponentError>),
    #[error("the built-in component cannot be run: {0}")]
    BuiltIn(Box<LoadError>),
    #[error("its component `{kind}` was not loaded. Restart tributary")]
    NotLoaded { kind: String },
    #[error("the component's plan names a host that cannot be allowed: {0}")]
    Host(#[from] PatternError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Ready to run sources, without anything that runs.
#[derive(Clone)]
pub struct Host {
    sandbox: Sandbox,
    built_in: BuiltIn,
    /// Those that the configuration names.
    pub(super) components: Components,
    pub(super) options: Options,
    notes: Notebook,
}

/// A source whose configuration its component has accepted.
pub struct Planned {
    pub config: config::Source,
    pub plan: Plan,
    /// With the network that the plan names.
    pub source: Arc<ComponentSource>,
}

impl Host {
    /// Makes the sandbox. The component of `options` is compiled when a source first asks for it.
    ///
    /// # Errors
    /// When the system refuses the address space.
    pub fn load(mut options: Options) -> Result<Self, LoadError> {
        let sandbox = Sandbox::new(options.sandbox)?;
        let built_in = BuiltIn::new(std::mem::take(&mut options.component));
        Ok(Self { sandbox, built_in, components: Components::default(), options, notes: Notebook::default() })
    }

    /// Around a component that is compiled already; of `options`, `sandbox` and `component` have done their work. Several
    /// hosts in one process need compile only once.
    pub fn around(component: Component, options: Options) -> Self {
        let (sandbox, built_in) = (component.sandbox().clone(), BuiltIn::compiled(component));
        Self { sandbox, built_in, components: Components::default(), options, notes: Notebook::default() }
    }

    /// With the components that `config` names and some source runs. What is wrong with one is told by [`Host::plan`] of its
    /// sources.
    pub async fn with_components(self, config: &Config) -> Self {
        let components = Components::load(&self.sandbox, config).await;
        Self { components, ..self }
    }

    /// The built-in component, compiled.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn component(&self) -> Result<&Component, LoadError> {
        self.built_in.get(&self.sandbox).await
    }

    /// Whether instances with these limits fit into the slots that were made at the start. What does not fit is cut.
    pub(crate) fn has_room_for(&self, limits: &Limits) -> bool {
        self.sandbox.has_room_for(limits)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.options.outside.clock.millis()
    }

    /// Asks the component what a source's configuration selects.
    ///
    /// # Errors
    /// Its judgement.
    pub async fn plan(&self, source: &config::Source) -> Result<Planned, SourceError> {
        self.try_plan(source).await.map_err(|reason| SourceError { id: source.id.clone(), reason })
    }

    async fn component_of(&self, kind: &str) -> Result<&Component, SourceReason> {
        match self.components.get(kind) {
            Some(loaded) => Ok(loaded.map_err(|error| Box::new(error.clone()))?),
            None if kind == EMBEDDED_SOURCE => {
                self.component().await.map_err(|error| SourceReason::BuiltIn(Box::new(error)))
            }
            None => Err(SourceReason::NotLoaded { kind: kind.to_owned() }),
        }
    }

    async fn try_plan(&self, source: &config::Source) -> Result<Planned, SourceReason> {
        let Outside { clock, random, network } = &self.options.outside;
        let sealed = Context::sealed(&source.id, *clock, random.fork());
        let component = self.component_of(&source.kind).await?.with_limits(source.limits);
        let mut guest = component.instantiate(&sealed).await?;
        let plan = guest.plan_for(source.settings.as_json()).await;
        let known: Vec<&str> = component.descriptor().quotas.iter().map(|quota| quota.name.as_str()).collect();
        let names: Vec<String> = source.quotas.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
        let known = known.join(", ");
        let plan = plan.map_err(|error| {
            let error = refusal::with_host_keys(error, &component.descriptor().config_schema);
            refusal::with_quotas(error, &names, &known)
        })?;
        if !names.is_empty() {
            return Err(SourceReason::Quotas { names, known });
        }
        let egress = Egress::new(plan.hosts.iter().map(String::as_str))?.with(source.network.egress.clone());
        let (egress, notes) = (Arc::new(egress), self.notes.of(&source.id));
        let transport = network.transport(&Way {
            source: Arc::clone(&sealed.source),
            egress: Arc::clone(&egress),
            settings: &source.network,
            notes: Arc::clone(&notes),
        })?;
        let context = Context { egress, transport, notes, ..sealed };
        let running = Arc::new(ComponentSource { component, context, settings: source.settings.clone() });
        Ok(Planned { config: source.clone(), plan, source: running })
    }
}

impl StartError {
    /// Whether the operator's configuration is what has to change.
    pub fn is_configuration(&self) -> bool {
        match self {
            StartError::Sources(errors) => errors.iter().any(|error| match &error.reason {
                SourceReason::Guest(GuestError::Fault(fault)) => is_configuration(fault),
                // It does not even start.
                SourceReason::Guest(GuestError::Limit(_)) => true,
                SourceReason::Guest(_) => false,
                SourceReason::NotLoaded { .. } | SourceReason::BuiltIn(_) => false,
                SourceReason::Host(_)
                | SourceReason::Network(_)
                | SourceReason::Quotas { .. }
                | SourceReason::Component(_) => true,
            }),
            StartError::Component(_) | StartError::State(_) | StartError::Sink { .. } => false,
        }
    }
}

fn is_configuration(fault: &Fault) -> bool {
    fault.class == FaultClass::Configuration
}
