//! The real component in the sandbox, without a network.

use std::sync::Arc;

use super::{Component, Context, FaultClass, GuestError, Limits, LoadError, Sandbox, Settings, Start};
use crate::outside::{Clock, Random};

async fn load(limits: Limits, slots: u32) -> Result<Component, LoadError> {
    Sandbox::new(Settings { limits, slots, ..Settings::default() })?.load(crate::COMPONENT).await
}

fn sealed() -> Context {
    Context::sealed("test", Clock::System, Random::seeded(1))
}

const CONFIG: &str = r#"{"client_id":"id","client_secret":"secret","tenant":"acme"}"#;

#[tokio::test]
async fn the_embedded_component_is_one_and_answers() {
    let component = load(Limits::default(), 4).await.unwrap();
    let descriptor = component.descriptor();
    assert!(!descriptor.streams.is_empty() && !descriptor.kinds.is_empty());
    assert!(serde_json::from_str::<serde_json::Value>(&descriptor.config_schema).unwrap().is_object());

    let mut guest = component.instantiate(&sealed()).await.unwrap();
    let plan = guest.plan_for(CONFIG).await.unwrap();
    assert!(!plan.streams.is_empty() && plan.hosts.iter().all(|host| host.starts_with("https://")), "{plan:?}");

    // A fault leaves the guest usable.
    let Err(GuestError::Fault(fault)) = guest.plan_for("{}").await else { panic!("an empty configuration passed") };
    assert_eq!(fault.class, FaultClass::Configuration);
    assert!(guest.plan_for(CONFIG).await.is_ok());

    // Opening makes no request; authenticating does, and there is no network.
    guest.open(CONFIG, &plan.streams[0].name, Start::Configured).await.unwrap();
    let Err(GuestError::Fault(fault)) = guest.authenticate(CONFIG).await else { panic!("it reached the vendor") };
    assert!(!fault.to_string().contains("secret"), "{fault}");
    assert!(guest.peak_memory() < 16 << 20, "{} bytes", guest.peak_memory());
}

#[tokio::test]
async fn a_guest_over_its_memory_is_stopped_and_told_so() {
    let component = load(Limits::default(), 2).await.unwrap();
    let plan = async |limits| component.with_limits(limits).instantiate(&sealed()).await?.plan_for(CONFIG).await;
    // The component's own memory begins above a mebibyte, or grows over it at its first call.
    let small = Limits { memory: 1 << 20, ..Limits::default() };
    let Err(GuestError::Limit(limit)) = plan(small).await else { panic!("the limit was not enforced") };
    assert_eq!((limit.name, limit.setting), ("memory", "limits.memory_bytes"), "{limit}");
    assert!(plan(Limits { memory: 8 << 20, ..small }).await.is_ok());
    let component = load(small, 2).await.unwrap();
    assert!(matches!(component.instantiate(&sealed()).await, Err(GuestError::Limit(_))), "as the sandbox is set up");
}

#[tokio::test]
async fn a_guest_has_the_tables_that_it_may_have() {
    let component = load(Limits::default(), 2).await.unwrap();
    let start = async |table_elements| {
        component.with_limits(Limits { table_elements, ..Limits::default() }).instantiate(&sealed()).await
    };
    // It has several, which are made one after another. What each wants is told: `10, 321 wanted`.
    let (mut allowed, mut refused) = (10, 0);
    while let Err(error) = start(allowed).await {
        let GuestError::Limit(limit) = error else { panic!("{error}") };
        assert_eq!((limit.name, limit.setting), ("table elements", "limits.table_elements"), "{limit}");
        let wanted = limit.figure.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(wanted > allowed);
        (allowed, refused) = (wanted, refused + 1);
    }
    assert!(refused > 0 && start(allowed - 1).await.is_err());
}

#[tokio::test]
async fn slots_are_waited_for() {
    let component = load(Limits::default(), 1).await.unwrap();
    let held = component.instantiate(&sealed()).await.unwrap();
    let waiting = tokio::spawn({
        let (component, context) = (component.clone(), sealed());
        async move { component.instantiate(&context).await.map(drop) }
    });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn tenants_share_code_and_nothing_else() {
    let component = load(Limits::default(), 8).await.unwrap();
    let (one, two) = (component.clone(), component.clone());
    assert!(Arc::ptr_eq(one.descriptor(), two.descriptor()));
    let mut first = one.instantiate(&sealed()).await.unwrap();
    first.open(CONFIG, "audit", Start::Configured).await.unwrap();
    let mut second = two.instantiate(&sealed()).await.unwrap();
    let answer = second.pull(b"", super::Budget::default()).await;
    assert!(matches!(answer, Err(GuestError::Breach(_))), "a reader belongs to its instance");
}
