//! The English texts of pages, and with them the list of all texts. German and Korean have a file each.
//! Invariant: short sentences for people who know nothing of the gateway, which say what to do next.

use crate::pages::texts::texts_in_english;

texts_in_english! {
    // Every page.
    next_steps: "What next",
    reference: "Reference",
    reference_use: "If you ask the people who run this site for help, give them this reference and the time.",
    try_again: "Try again",
    front_page: "Go to the front page",

    // Signing in.
    sign_in: "Sign in",
    sign_in_again: "Sign in again",
    sign_in_title: "Sign in",
    sign_in_text: "Choose how to sign in to {site}.",
    sign_in_with: "Sign in with {provider}",
    sign_in_with_down: "Sign in with {provider} (does not answer at the moment)",
    sign_in_another_way: "Sign in another way",
    sign_in_required_title: "Please sign in",
    sign_in_required_text: "This page is only for people who are signed in.",
    session_ended_title: "Your form was not sent",
    session_ended_text: "You are no longer signed in, so what you entered was not saved. Keep this page open.",
    session_ended_advice: "Sign in in a new tab. Then come back to this tab, reload it, and confirm that the form \
        should be sent again.",
    session_ended_button: "Sign in in a new tab",

    // Signing out.
    sign_out: "Sign out",
    stay_signed_in: "Stay signed in",
    signed_out_title: "You are signed out",
    signed_out_text: "You can close this window. If other people use this computer, close the browser too.",
    sign_out_unconfirmed_title: "Your sign-out is not complete yet",
    sign_out_unconfirmed_text: "You are signed out here, but other servers of this site may not know that yet. They will \
        learn it as soon as they can be reached. If other people use this computer, close the browser too.",
    confirm_sign_out_title: "Sign out?",
    confirm_sign_out_text: "Another page sent you here. Do you want to sign out?",
    sign_out_at_provider_title: "You are signed out of this site",
    sign_out_at_provider_text: "You are still signed in at {provider}. If other people use this computer, sign out there too.",
    sign_out_at_provider_button: "Sign out at {provider}",
    stay_signed_in_at_provider: "Stay signed in there",

    // A sign-in that failed.
    sign_in_failed_title: "Signing in did not work",
    sign_in_failed_advice: "Please try again. If that does not help, ask the people who run this site.",
    sign_in_cancelled_title: "Sign-in was cancelled or refused",
    sign_in_cancelled_text: "The sign-in service did not sign you in: you cancelled, or it does not accept your account for this site.",
    sign_in_unknown_provider: "This sign-in service is not available here.",
    sign_in_choice_needed: "Please choose how to sign in.",
    sign_in_incomplete_response: "The sign-in service sent an incomplete answer.",
    sign_in_expired: "The sign-in took longer than ten minutes.",
    sign_in_already_used: "This sign-in was already used.",
    sign_in_other_browser: "The sign-in was started in another browser, or cookies are blocked.",
    sign_in_not_started_here: "The sign-in was not started here, this site has been restarted since, or another instance \
        of this site answers.",
    sign_in_cycle: "You signed in several times, but your browser does not show this site that you are signed in. It does \
        not accept the cookie of this site, or another instance of this site answers, which does not know your sign-in.",
    sign_in_cycle_with_forward_auth: "You signed in several times, but your browser does not show this site that you are \
        signed in. It does not accept the cookie of this site, the domain of the cookie does not include the address \
        that you want to open, or another instance of this site answers, which does not know \
        your sign-in.",
    sign_in_cycle_at_pages: "You signed in several times, but the page that you want does not get the cookie that shows \
        it. Another instance of this site answers there, which does not know your sign-in, or a server in front of this \
        site does not pass the cookie on.",
    sign_in_cycle_at_pages_with_forward_auth: "You signed in several times, but the page that you want does not get the \
        cookie that shows it. A server in front of this site does not pass the cookie on, the domain of the \
        cookie does not include the address of the page, or another instance of this site \
        answers there, which does not know your sign-in.",
    sign_in_cycle_session_ended: "You signed in several times, but each time your session ended at once. What the sign-in \
        service issued for it had expired already, and it was not renewed.",
    sign_in_changed_host: "Your browser was sent to the address of this site, but the request came under another name. A \
        server in front of this site changes the name (Host).",
    sign_in_wrong_redirect_uri: "The sign-in service sent its answer to the wrong address.",
    sign_in_denied_by_provider: "The sign-in service did not allow the sign-in.",
    sign_in_account_too_large: "Your account has more data, such as groups, than this site accepts.",
    sign_in_store_unavailable: "This site cannot store at the moment that you are signed in.",
    sign_in_too_many_failures: "There were too many failed attempts from your network. Please wait a moment.",
    sign_in_unusable_response: "The sign-in service sent an answer that this site cannot use.",
    provider_unavailable_title: "The sign-in service does not answer",
    provider_unavailable_text: "The sign-in service cannot be reached or has a problem.",
    provider_unavailable_text_named: "{provider} cannot be reached or has a problem, so you cannot be signed in.",
    provider_unavailable_advice: "This is not your fault. Please try again in a minute.",
    provider_misconfigured_title: "Signing in is not set up correctly",
    provider_misconfigured_text: "The sign-in service does not accept this site.",
    provider_misconfigured_text_named: "{provider} does not accept this site, so you cannot be signed in.",
    provider_misconfigured_advice: "This is not your fault, and waiting does not help. Please tell the people who \
        run this site.",

    // A user who is not allowed.
    forbidden_title: "You have no access to this page",
    forbidden_account: "You are signed in as {account} with {provider}.",
    forbidden_advice: "If you need access, ask the people who run this site.",
    use_another_account: "Use another account",
    denied_email: "Your e-mail address is not among those that have access.",
    denied_email_domain: "Your e-mail address is not in a domain that has access.",
    denied_email_unverified: "Your e-mail address is not verified, so it gives you no access.",
    denied_group: "Your account is not in a group that has access.",
    denied_groups_in_part: "The sign-in service did not send all groups of your account, or may not have sent all. None of \
        those that it sent has access.",
    denied_user: "Your account is not among those that have access.",
    denied_provider: "Accounts of {provider} have no access here.",
    denied_claim: "Your account does not have what is required for access.",
    denied_method: "Your account is not allowed to do this here.",
    denied_path: "Your account has no access to this address.",
    denied_client_address: "There is no access from the network that you are using.",
    denied_several: "Your account is not among those that have access.",

    // A wrong host.
    wrong_host_title: "There is nothing at this address",
    wrong_host_text: "This site is not available under the name in the address. Please use {address} instead.",
    wrong_host_button: "Open the site",
    sign_in_only_title: "There is nothing to open here",
    sign_in_only_text: "{address} is only for signing in. Please open the application at its own address.",
    redirect_loop_title: "This site redirects to itself",
    redirect_loop_text: "This address would redirect to itself without end. Only the operators of the site can correct \
        that.",

    // Other errors, by HTTP status.
    status_400_title: "This address does not work",
    status_400_text: "The address or the request is malformed, or could be understood in two ways. Please check the \
        address, or go back and try another link.",
    status_403_text: "This page cannot be opened in this way.",
    status_404_title: "There is nothing here",
    status_404_text: "The page may have moved, or the address may have a typing error.",
    status_405_title: "This does not work here",
    status_405_text: "The page exists, but it does not accept this kind of request.",
    status_408_title: "That took too long",
    status_408_text: "The request did not arrive in time. Please check your connection and try again.",
    status_413_title: "That is too large",
    status_413_text: "The file or form is larger than this page accepts. Please try a smaller one.",
    status_414_title: "This address is too long",
    status_414_text: "Please go back and try a shorter address, or start again from the front page.",
    status_429_title: "Too many attempts",
    status_429_text: "Please wait a minute, then try again.",
    status_431_title: "The request is too large",
    status_431_text: "Your browser sent too much data. Deleting the cookies of this site often helps.",
    status_4xx_title: "That did not work",
    status_4xx_text: "The request was not accepted. Please go back and try another way.",
    status_502_title: "The application does not answer",
    status_502_text: "This is not your fault: the application behind this page cannot be reached. Please try again \
        in a minute.",
    status_503_title: "This site is busy",
    status_503_text: "This is not your fault. Please try again in a moment.",
    status_504_title: "The application takes too long",
    status_504_text: "This is not your fault: the application behind this page did not answer in time. Please try \
        again in a minute.",
    status_505_title: "This does not work here",
    status_505_text: "This version of HTTP is not supported.",
    status_5xx_title: "Something went wrong",
    status_5xx_text: "This is not your fault. Please try again. If it keeps happening, tell the people who run this \
        site.",
}
