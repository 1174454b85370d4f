//! Google, with groups by the Directory API.

use crate::kinds::row::Row;
use crate::kinds::rows::google;

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN\", hosted_domain: example.com, service_account: /etc/account.json, \
           admin_email: admin@example.com",
    lists: &["GET /admin/directory/v1/groups"],
    cut: &[],
    deviations: &[],
    ..google::ROW
};
