//! The German texts of pages.
//! Invariant: they say the same as the English ones, politely (*Sie*).

use crate::pages::english::Texts;
use crate::pages::texts::texts;

texts! {
    // Every page.
    next_steps: "Wie es weitergeht",
    reference: "Referenz",
    reference_use: "Wenn Sie die Betreiber dieser Website um Hilfe bitten, nennen Sie diese Referenz und die Uhrzeit.",
    try_again: "Erneut versuchen",
    front_page: "Zur Startseite",

    // Signing in.
    sign_in: "Anmelden",
    sign_in_again: "Erneut anmelden",
    sign_in_title: "Anmelden",
    sign_in_text: "Wählen Sie, wie Sie sich bei {site} anmelden möchten.",
    sign_in_with: "Mit {provider} anmelden",
    sign_in_with_down: "Mit {provider} anmelden (antwortet gerade nicht)",
    sign_in_another_way: "Auf andere Weise anmelden",
    sign_in_required_title: "Bitte melden Sie sich an",
    sign_in_required_text: "Diese Seite ist nur für angemeldete Personen zugänglich.",
    session_ended_title: "Ihr Formular wurde nicht gesendet",
    session_ended_text: "Sie sind nicht mehr angemeldet. Ihre Eingaben wurden deshalb nicht gespeichert. Lassen Sie \
        diese Seite geöffnet.",
    session_ended_advice: "Melden Sie sich in einem neuen Tab an. Kehren Sie dann zu diesem Tab zurück, laden Sie ihn \
        neu und bestätigen Sie, dass das Formular erneut gesendet werden soll.",
    session_ended_button: "In neuem Tab anmelden",

    // Signing out.
    sign_out: "Abmelden",
    stay_signed_in: "Angemeldet bleiben",
    signed_out_title: "Sie sind abgemeldet",
    signed_out_text: "Sie können dieses Fenster schließen. Wenn auch andere diesen Computer benutzen, schließen Sie \
        bitte den ganzen Browser.",
    sign_out_unconfirmed_title: "Ihre Abmeldung ist noch nicht vollständig",
    sign_out_unconfirmed_text: "Hier sind Sie abgemeldet, aber andere Server dieser Website wissen das vielleicht noch \
        nicht. Sie erfahren es, sobald sie erreichbar sind. Wenn auch andere diesen Computer benutzen, schließen Sie \
        bitte auch den Browser.",
    confirm_sign_out_title: "Abmelden?",
    confirm_sign_out_text: "Eine andere Seite hat Sie hierher weitergeleitet. Möchten Sie sich abmelden?",
    sign_out_at_provider_title: "Sie sind von dieser Website abgemeldet",
    sign_out_at_provider_text: "Bei {provider} sind Sie noch angemeldet. Wenn auch andere diesen Computer benutzen, melden Sie sich bitte \
        auch dort ab.",
    sign_out_at_provider_button: "Bei {provider} abmelden",
    stay_signed_in_at_provider: "Dort angemeldet bleiben",

    // A sign-in that failed.
    sign_in_failed_title: "Die Anmeldung hat nicht funktioniert",
    sign_in_failed_advice: "Bitte versuchen Sie es noch einmal. Wenn das nicht hilft, wenden Sie sich an die Betreiber \
        dieser Website.",
    sign_in_cancelled_title: "Die Anmeldung wurde abgebrochen oder abgelehnt",
    sign_in_cancelled_text: "Der Anmeldedienst hat Sie nicht angemeldet: Sie haben abgebrochen, oder Ihr Konto ist dort nicht für diese \
        Website zugelassen.",
    sign_in_unknown_provider: "Dieser Anmeldedienst steht hier nicht zur Verfügung.",
    sign_in_choice_needed: "Bitte wählen Sie, wie Sie sich anmelden möchten.",
    sign_in_incomplete_response: "Der Anmeldedienst hat unvollständig geantwortet.",
    sign_in_expired: "Die Anmeldung hat länger als zehn Minuten gedauert.",
    sign_in_already_used: "Diese Anmeldung wurde bereits verwendet.",
    sign_in_other_browser: "Die Anmeldung wurde in einem anderen Browser begonnen, oder Cookies sind blockiert.",
    sign_in_not_started_here: "Die Anmeldung wurde nicht hier begonnen, diese Website wurde inzwischen neu gestartet, \
        oder eine andere Instanz dieser Website antwortet.",
    sign_in_cycle: "Sie haben sich mehrmals angemeldet, aber Ihr Browser zeigt dieser Website nicht, dass Sie angemeldet \
        sind. Er nimmt das Cookie dieser Website nicht an, oder es antwortet eine andere Instanz dieser Website, die \
        Ihre Anmeldung nicht kennt.",
    sign_in_cycle_with_forward_auth: "Sie haben sich mehrmals angemeldet, aber Ihr Browser zeigt dieser Website nicht, \
        dass Sie angemeldet sind. Er nimmt das Cookie dieser Website nicht an, die Domain des Cookies umfasst die \
        Adresse nicht, die Sie öffnen möchten, oder es antwortet eine andere Instanz dieser \
        Website, die Ihre Anmeldung nicht kennt.",
    sign_in_cycle_at_pages: "Sie haben sich mehrmals angemeldet, aber die Seite, die Sie öffnen möchten, erhält das Cookie \
        nicht, das dies zeigt. Dort antwortet eine andere Instanz dieser Website, die Ihre Anmeldung nicht kennt, oder \
        ein Server vor dieser Website gibt das Cookie nicht weiter.",
    sign_in_cycle_at_pages_with_forward_auth: "Sie haben sich mehrmals angemeldet, aber die Seite, die Sie öffnen möchten, \
        erhält das Cookie nicht, das dies zeigt. Ein Server vor dieser Website gibt das Cookie nicht weiter, die \
        Domain des Cookies umfasst die Adresse der Seite nicht, oder dort antwortet eine andere \
        Instanz dieser Website, die Ihre Anmeldung nicht kennt.",
    sign_in_cycle_session_ended: "Sie haben sich mehrmals angemeldet, aber Ihre Sitzung endete jedes Mal sofort. Was der \
        Anmeldedienst dafür ausgestellt hat, war bereits abgelaufen und wurde nicht erneuert.",
    sign_in_changed_host: "Ihr Browser wurde zur Adresse dieser Website geleitet, aber die Anfrage kam unter einem anderen \
        Namen an. Ein Server vor dieser Website ändert den Namen (Host).",
    sign_in_wrong_redirect_uri: "Der Anmeldedienst hat seine Antwort an die falsche Adresse gesendet.",
    sign_in_denied_by_provider: "Der Anmeldedienst hat die Anmeldung nicht zugelassen.",
    sign_in_account_too_large: "Ihr Konto enthält mehr Daten, etwa Gruppen, als diese Website annimmt.",
    sign_in_store_unavailable: "Diese Website kann Ihre Anmeldung im Augenblick nicht speichern.",
    sign_in_too_many_failures: "Aus Ihrem Netzwerk gab es zu viele fehlgeschlagene Versuche. Bitte warten Sie einen \
        Moment.",
    sign_in_unusable_response: "Der Anmeldedienst hat eine Antwort gesendet, mit der diese Website nichts anfangen kann.",
    provider_unavailable_title: "Der Anmeldedienst antwortet nicht",
    provider_unavailable_text: "Der Anmeldedienst ist nicht erreichbar oder gestört.",
    provider_unavailable_text_named: "{provider} ist nicht erreichbar oder gestört. Deshalb können Sie gerade nicht \
        angemeldet werden.",
    provider_unavailable_advice: "Das liegt nicht an Ihnen. Bitte versuchen Sie es in einer Minute noch einmal.",
    provider_misconfigured_title: "Die Anmeldung ist nicht richtig eingerichtet",
    provider_misconfigured_text: "Der Anmeldedienst akzeptiert diese Website nicht.",
    provider_misconfigured_text_named: "{provider} akzeptiert diese Website nicht. Deshalb können Sie nicht angemeldet \
        werden.",
    provider_misconfigured_advice: "Das liegt nicht an Ihnen, und Abwarten hilft nicht. Bitte informieren Sie die \
        Betreiber dieser Website.",

    // A user who is not allowed.
    forbidden_title: "Sie haben keinen Zugriff auf diese Seite",
    forbidden_account: "Sie sind bei {provider} als {account} angemeldet.",
    forbidden_advice: "Wenn Sie Zugriff benötigen, wenden Sie sich an die Betreiber dieser Website.",
    use_another_account: "Anderes Konto verwenden",
    denied_email: "Ihre E-Mail-Adresse gehört nicht zu denen, die Zugriff haben.",
    denied_email_domain: "Ihre E-Mail-Adresse gehört zu keiner Domain, die Zugriff hat.",
    denied_email_unverified: "Ihre E-Mail-Adresse ist nicht bestätigt und gibt Ihnen deshalb keinen Zugriff.",
    denied_group: "Ihr Konto gehört zu keiner Gruppe, die Zugriff hat.",
    denied_groups_in_part: "Der Anmeldedienst hat nicht oder vielleicht nicht alle Gruppen Ihres Kontos gesendet. Keine der \
        gesendeten hat Zugriff.",
    denied_user: "Ihr Konto gehört nicht zu denen, die Zugriff haben.",
    denied_provider: "Konten von {provider} haben hier keinen Zugriff.",
    denied_claim: "Ihrem Konto fehlt eine Voraussetzung für den Zugriff.",
    denied_method: "Mit Ihrem Konto ist diese Aktion hier nicht erlaubt.",
    denied_path: "Ihr Konto hat keinen Zugriff auf diese Adresse.",
    denied_client_address: "Aus dem Netzwerk, das Sie gerade verwenden, ist kein Zugriff möglich.",
    denied_several: "Ihr Konto gehört nicht zu denen, die Zugriff haben.",

    // A wrong host.
    wrong_host_title: "Unter dieser Adresse gibt es nichts",
    wrong_host_text: "Unter dem Namen in der Adresse ist diese Website nicht erreichbar. Bitte verwenden Sie {address}.",
    wrong_host_button: "Website öffnen",
    sign_in_only_title: "Hier gibt es nichts zu öffnen",
    sign_in_only_text: "{address} dient nur der Anmeldung. Bitte öffnen Sie die Anwendung unter ihrer eigenen Adresse.",
    redirect_loop_title: "Diese Website leitet auf sich selbst weiter",
    redirect_loop_text: "Diese Adresse würde endlos auf sich selbst weiterleiten. Das kann nur der Betreiber der Website \
        beheben.",

    // Other errors, by HTTP status.
    status_400_title: "Diese Adresse funktioniert nicht",
    status_400_text: "Die Adresse oder die Anfrage ist fehlerhaft oder nicht eindeutig. Bitte prüfen Sie die Adresse, \
        oder gehen Sie zurück und versuchen Sie einen anderen Link.",
    status_403_text: "Diese Seite kann auf diese Weise nicht geöffnet werden.",
    status_404_title: "Hier gibt es nichts",
    status_404_text: "Vielleicht wurde die Seite verschoben, oder die Adresse enthält einen Tippfehler.",
    status_405_title: "Das ist hier nicht möglich",
    status_405_text: "Die Seite gibt es, aber sie nimmt diese Art von Anfrage nicht an.",
    status_408_title: "Das hat zu lange gedauert",
    status_408_text: "Die Anfrage ist nicht rechtzeitig angekommen. Bitte prüfen Sie Ihre Verbindung und versuchen Sie \
        es noch einmal.",
    status_413_title: "Das ist zu groß",
    status_413_text: "Die Datei oder das Formular ist größer, als diese Seite erlaubt. Bitte versuchen Sie es mit einer \
        kleineren Datei oder weniger Daten.",
    status_414_title: "Diese Adresse ist zu lang",
    status_414_text: "Bitte gehen Sie zurück und versuchen Sie eine kürzere Adresse, oder beginnen Sie auf der \
        Startseite.",
    status_429_title: "Zu viele Versuche",
    status_429_text: "Bitte warten Sie eine Minute und versuchen Sie es dann noch einmal.",
    status_431_title: "Die Anfrage ist zu groß",
    status_431_text: "Ihr Browser hat zu viele Daten gesendet. Oft hilft es, die Cookies dieser Website zu löschen.",
    status_4xx_title: "Das hat nicht funktioniert",
    status_4xx_text: "Die Anfrage wurde nicht angenommen. Bitte gehen Sie zurück und versuchen Sie es auf anderem Weg.",
    status_502_title: "Die Anwendung antwortet nicht",
    status_502_text: "Das liegt nicht an Ihnen: Die Anwendung hinter dieser Seite ist nicht erreichbar. Bitte versuchen \
        Sie es in einer Minute noch einmal.",
    status_503_title: "Diese Website ist ausgelastet",
    status_503_text: "Das liegt nicht an Ihnen. Bitte versuchen Sie es gleich noch einmal.",
    status_504_title: "Die Anwendung braucht zu lange",
    status_504_text: "Das liegt nicht an Ihnen: Die Anwendung hinter dieser Seite hat nicht rechtzeitig geantwortet. \
        Bitte versuchen Sie es in einer Minute noch einmal.",
    status_505_title: "Das ist hier nicht möglich",
    status_505_text: "Diese HTTP-Version wird nicht unterstützt.",
    status_5xx_title: "Etwas ist schiefgegangen",
    status_5xx_text: "Das liegt nicht an Ihnen. Bitte versuchen Sie es noch einmal. Wenn es immer wieder passiert, \
        informieren Sie bitte die Betreiber dieser Website.",
}
