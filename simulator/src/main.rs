//! Serves a simulated Mimecast with three tenants on loopback until it is stopped.
//!
//! `mimecast-simulator [EVENTS_PER_DAY [QUOTA_FACTOR [API_PORT STORAGE_PORT]]]`

use std::process::ExitCode;

use mimecast_simulator::{Clock, Credentials, Server, Settings, Simulator, Tenant};

const USAGE: &str = "usage: mimecast-simulator [EVENTS_PER_DAY [QUOTA_FACTOR [API_PORT STORAGE_PORT]]]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("mimecast-simulator: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    if arguments.len() > 4 || arguments.len() == 3 {
        return Err(USAGE.to_owned());
    }
    let number = |index: usize, default: u64| match arguments.get(index) {
        None => Ok(default),
        Some(text) => text.parse::<u64>().map_err(|_| format!("{text:?} is no number; {USAGE}")),
    };
    let port = |index: usize| {
        number(index, 0).and_then(|port| u16::try_from(port).map_err(|_| format!("{port} is no port; {USAGE}")))
    };
    let events = number(0, 6_000)?;
    let factor = u32::try_from(number(1, 1)?).map_err(|_| USAGE.to_owned())?;
    let tenants = vec![
        Tenant::v2("acme", events).with_every_stream(),
        Tenant::v2("globex", events / 2).with_every_stream(),
        Tenant { utc_offset_minutes: 60, ..Tenant::v1("initech", events).with_every_stream() },
    ];
    let clock = Clock::real();
    let settings = Settings { start_ms: clock.now(), tenants, quota_factor: factor, ..Settings::default() };
    let simulator = Simulator::new(settings).map_err(|error| error.to_string())?;
    let server = Server::bind(simulator, clock, port(2)?, port(3)?).map_err(|error| error.to_string())?;

    println!("API      {}", server.api_url);
    println!("storage  {}", server.storage_url);
    println!("All credentials below are made up.");
    let tenants = server.simulator().settings().tenants.clone();
    for tenant in &tenants {
        println!("\ntenant {} (account {})", tenant.name, tenant.account_code);
        match &tenant.credentials {
            Credentials::V2 { client_id, client_secret } => {
                println!("  client_id      {client_id}\n  client_secret  {client_secret}");
            }
            Credentials::V1 { email, app_id, app_key, access_key, secret_key } => {
                println!("  administrator_email  {email}\n  app_id               {app_id}");
                println!("  app_key              {app_key}\n  access_key           {access_key}");
                println!("  secret_key           {secret_key}");
            }
        }
    }
    loop {
        std::thread::park();
    }
}
