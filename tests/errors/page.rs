//! `docs/troubleshooting.md`: the tables as a page for operators.

use std::fmt::Write;
use std::path::Path;

use crate::component::{Case, rows, settings};
use crate::row::Row;
use crate::{host, reading, rights, sinks, vendor};

const HEAD: &str = "# When something is wrong

<!-- Made by `BLESS=1 cargo test --test errors`. Do not edit: change the texts where they are said, or the meanings in tests/errors. -->

What the log, `tributary status`, `tributary check` and health events say begins with what happened and where, and ends with the
next step. This page lists the codes, what each means, and that step. Search it for the code in brackets, or for what you read.

What to ask first:

```sh
tributary validate     # is the configuration right? Each mistake with its path
tributary check        # do the credentials work, and what does each stream answer? Stores nothing
tributary status       # what does the running host do, and what is wrong?
tributary audit        # does what was counted balance?
tributary state show --health   # what has happened, with the codes of this page
```
";

const KEYS: &str = "
## Mimecast: before the first request

- **Generation.** API 2.0 has an application with a client id and a client secret; API 1.0 has an application id and key, and the
  access key and secret key of a service user. Keys of one generation are not known to the other: `api` says which they are.
- **Region.** API 2.0 needs none: leave `region` out. API 1.0 needs the account's own; without `region` and `base_url`, and with
  `administrator_email`, Mimecast is asked where the account is.
- **Products and role (API 2.0).** The application needs the products, and its role the permissions, of the streams below.
  Products cannot be changed after an application was saved: make a new one.
- **Role (API 1.0).** Give the service user a role with the permissions below, at least Basic Administrator, *before* its keys are
  made: keys that were made earlier do not work.
- **Life of keys (API 1.0).** Set the Authentication Cache TTL of the service user's authentication profile to Never Expires;
  otherwise the keys end with status 418 after a while.
- **Clock.** Signatures of API 1.0 hold the time: keep the machine's clock right by NTP. `tributary check` compares it with
  Mimecast's.

## Mimecast: what each stream needs

| Stream | Product of the application (API 2.0) | Permission of the role |
| --- | --- | --- |
";

fn section(page: &mut String, title: &str, rows: &[Row]) {
    let _ = writeln!(page, "\n## {title}");
    for row in rows {
        if !row.means.is_empty() {
            let _ = writeln!(page, "\n### `{}`\n\n{}", row.code, row.means);
        }
        let _ = writeln!(page, "\n> {}\n\n**Next:** {}", row.what, row.next);
    }
}

async fn of(cases: Vec<Case>) -> Vec<Row> {
    let mut shown: Vec<Row> = Vec::new();
    for row in rows(cases).await {
        // A variant is worth a line where it has another next step.
        if !row.means.is_empty() || shown.iter().all(|known| known.next != row.next) {
            shown.push(row);
        } else if let Some(known) = shown.iter_mut().rev().find(|known| !known.means.is_empty()) {
            // Another code with the same next step stands in the same heading.
            if !known.code.split("`, `").any(|code| code == row.code) {
                known.code += &format!("`, `{}", row.code);
            }
        }
    }
    shown
}

async fn page() -> String {
    let mut page = format!("{HEAD}{KEYS}");
    for right in rights::all().await.0 {
        let product = right.product.as_deref().unwrap_or("(API 1.0 only)");
        let _ = writeln!(page, "| `{}` | {product} | {} |", right.stream, right.permission.replace('|', "\\|"));
    }
    page += "\nFor `cloud/…` Mimecast publishes no permission; it is taken to be that of the other SIEM logs.\n";
    section(&mut page, "Mimecast: credentials", &of(vendor::credentials()).await);
    section(&mut page, "Mimecast: rights and answers", &of(vendor::answers_and_rights()).await);
    section(&mut page, "Mimecast: reading a stream", &of(reading::cases().await).await);
    let mut network = of(vendor::network()).await;
    network.extend(vendor::elsewhere());
    section(&mut page, "The way to Mimecast", &network);
    section(&mut page, "The configuration of a source", &of(settings()).await);
    section(&mut page, "Sinks", &sinks::rows());
    // Where the tests ask, nobody else is.
    page = page.replace("127.0.0.1:1/", "api.services.mimecast.com/");
    section(&mut page, "The host", &host::rows().await);
    let _ = writeln!(page, "\n## Codes of health that stand for others\n\n| Code | Meaning |\n| --- | --- |");
    for (code, means) in host::codes() {
        let _ = writeln!(page, "| `{code}` | {means} |");
    }
    page
}

#[tokio::test(start_paused = true)]
async fn the_page_is_what_the_tables_make() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/troubleshooting.md");
    let made = page().await;
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let other = written.lines().zip(made.lines()).position(|(old, new)| old != new);
    let other = other.unwrap_or(written.lines().count().min(made.lines().count()));
    assert!(
        written == made,
        "docs/troubleshooting.md is not what the tables make, from line {}. Run `BLESS=1 cargo test --test errors`:\n{:?}\n{:?}",
        other + 1,
        written.lines().nth(other),
        made.lines().nth(other)
    );
}
