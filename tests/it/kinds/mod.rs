//! Every kind of provider, with the gateway in front of an application: one table. A row is a kind (`rows`), or another way
//! to its groups, and a column is what an operator relies on (`cells`). The provider is the engine of `support::kinds`.
//! Invariant: each cell says what the application receives and what the provider received.

mod cells;
mod of_apple;
mod of_github;
mod row;
mod rows;
mod scene;

use std::collections::BTreeSet;

use portcullis::providers::fetch::Paging;
use portcullis::providers::kinds::{
    EmailTrust, GroupList, Groups, NAMES, Pkce, ProviderKind, SignInProtocol,
};

/// A module per kind with a test per cell.
macro_rules! table {
    ($($kind:ident)*) => {
        /// All rows.
        const ROWS: &[&row::Row] = &[$(&rows::$kind::ROW),*];

        $(
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
                spent_code_and_wrong_secret_have_their_own_answers,
                unverified_email_has_no_value,
                deviation_is_of_its_kind_only,
            );
        }
        )*
    };
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

/// A cell asserts that nothing happens only where the kind has nothing of that.
#[test]
fn cells_that_apply_to_a_kind_have_something_to_check() {
    for row in ROWS {
        let kind = ProviderKind::by_name(row.kind).unwrap();
        let (has_paged, has_unpaged) = match kind.groups {
            Groups::Claim => (false, false),
            Groups::Overage(_) | Groups::ServiceAccount { .. } => (true, false),
            Groups::Api { lists } => {
                let is_paged = |list: &GroupList| list.fetch.paging != Paging::None;
                (lists.iter().any(is_paged), lists.iter().any(|list| !is_paged(list)))
            }
        };
        assert_eq!(!row.lists.is_empty(), has_paged, "{}: lists with pages", row.kind);
        assert_eq!(!row.unpaged.is_empty(), has_unpaged, "{}: lists of one page", row.kind);
        let may_be_cut = kind.most_groups.is_some() || matches!(kind.groups, Groups::Overage(_));
        assert!(!may_be_cut || !row.cut.is_empty(), "{}: a cut list", row.kind);
        let is_openid = matches!(kind.protocol, SignInProtocol::OpenId { .. });
        assert_eq!(row.authorization.contains(&("nonce", None)), !is_openid, "{}", row.kind);
        assert_eq!(row.pkce == row::Pkce::S256, kind.pkce == Pkce::S256, "{}", row.kind);
        let deviates = !kind.required_claims.is_empty()
            || !matches!(kind.verified, EmailTrust::Claim | EmailTrust::AddressList { .. })
            || kind.pkce == Pkce::Rejected;
        let of_kind = || ROWS.iter().filter(|other| other.kind == row.kind);
        let has_deviations = of_kind().any(|row| !row.deviations.is_empty());
        assert!(!deviates || has_deviations, "{}: deviations", row.kind);
    }
    let kinds: BTreeSet<&str> = ROWS.iter().map(|row| row.kind).collect();
    assert!(kinds.into_iter().eq(BTreeSet::from(NAMES)));
}

#[test]
fn readme_has_a_row_for_every_kind_of_provider() {
    let readme = std::fs::read_to_string(crate::source_files::root().join("README.md")).unwrap();
    let (_, table) = readme.split_once("### Providers by kind").unwrap();
    let (table, _) = table.split_once("\n### ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<&str> = rows.map(|(kind, _)| kind).collect();
    assert_eq!(rows, NAMES);
}
