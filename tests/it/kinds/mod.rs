//! Every kind of provider, with the gateway in front of an application: one table. A row is a kind (`rows`), or another way
//! to its groups, and a column is what an operator relies on (`cells`). The provider is the engine of `support::kinds`.
//! Invariant: each cell says what the application receives and what the provider received.

mod cells;
mod of_apple;
mod row;
mod rows;
mod scene;

/// A module per kind with a test per cell.
macro_rules! table {
    ($($kind:ident)*) => {$(
        mod $kind {
            use super::{cells, rows};

            table!(@cells $kind:
                sign_in_gives_the_application_the_user,
                refresh_brings_current_groups,
                refused_refresh_ends_the_session,
                sign_out_ends_what_the_provider_lets_end,
                groups_decide_access,
                cut_list_of_groups_is_no_list,
                failed_page_leaves_no_part_of_the_groups,
                unverified_email_has_no_value,
                deviation_is_of_its_kind_only,
            );
        }
    )*};
    (@cells $kind:ident: $($cell:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $cell() {
            cells::$cell(&rows::$kind::ROW).await;
        }
    )*};
}

table! {
    oidc google google_directory entra keycloak okta auth0 gitlab apple cognito zitadel dex adfs slack linkedin discord
    github facebook bitbucket oauth2
}

#[test]
fn readme_has_a_row_for_every_kind_of_provider() {
    let readme = std::fs::read_to_string(crate::source_files::root().join("README.md")).unwrap();
    let (_, table) = readme.split_once("### Providers by kind").unwrap();
    let (table, _) = table.split_once("\n### ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<&str> = rows.map(|(kind, _)| kind).collect();
    assert_eq!(rows, portcullis::providers::kinds::NAMES);
}
