//! The Korean texts of pages.
//! Invariant: they say the same as the English ones, politely. No particle that depends on the sound before it
//! follows a value.

use crate::pages::english::Texts;
use crate::pages::texts::texts;

texts! {
    // Every page.
    next_steps: "다음 단계",
    reference: "참조 번호",
    reference_use: "사이트 관리자에게 문의할 때 이 참조 번호와 시각을 알려 주세요.",
    try_again: "다시 시도",
    front_page: "첫 페이지로 이동",

    // Signing in.
    sign_in: "로그인",
    sign_in_again: "다시 로그인",
    sign_in_title: "로그인",
    sign_in_text: "{site}에 로그인할 방법을 선택하세요.",
    sign_in_with: "{provider} 계정으로 로그인",
    sign_in_with_down: "{provider} 계정으로 로그인 (현재 응답 없음)",
    sign_in_another_way: "다른 방법으로 로그인",
    sign_in_required_title: "로그인이 필요합니다",
    sign_in_required_text: "이 페이지는 로그인한 사용자만 볼 수 있습니다.",
    session_ended_title: "양식이 전송되지 않았습니다",
    session_ended_text: "로그인이 만료되어 입력한 내용이 저장되지 않았습니다. 이 페이지를 닫지 마세요.",
    session_ended_advice: "새 탭에서 로그인한 다음 이 탭으로 돌아와 새로고침하고, 양식을 다시 전송할지 묻는 메시지가 나오면 \
        확인을 선택하세요.",
    session_ended_button: "새 탭에서 로그인",

    // Signing out.
    sign_out: "로그아웃",
    stay_signed_in: "로그인 상태 유지",
    signed_out_title: "로그아웃되었습니다",
    signed_out_text: "이 창을 닫아도 됩니다. 여러 사람이 함께 쓰는 컴퓨터라면 브라우저도 종료하세요.",
    sign_out_unconfirmed_title: "로그아웃이 아직 끝나지 않았습니다",
    sign_out_unconfirmed_text: "여기서는 로그아웃되었지만, 이 사이트의 다른 서버는 아직 모를 수 있습니다. 연결되는 대로 전달됩니다. \
        여러 사람이 함께 쓰는 컴퓨터라면 브라우저도 종료하세요.",
    confirm_sign_out_title: "로그아웃할까요?",
    confirm_sign_out_text: "다른 페이지에서 이곳으로 연결되었습니다. 로그아웃하시겠습니까?",
    sign_out_at_provider_title: "이 사이트에서 로그아웃되었습니다",
    sign_out_at_provider_text: "{provider} 계정은 아직 로그인되어 있습니다. 여러 사람이 함께 쓰는 컴퓨터라면 이 계정도 로그아웃하세요.",
    sign_out_at_provider_button: "{provider} 계정에서 로그아웃",
    stay_signed_in_at_provider: "계정 로그인 상태 유지",

    // A sign-in that failed.
    sign_in_failed_title: "로그인하지 못했습니다",
    sign_in_failed_advice: "다시 시도해 주세요. 문제가 계속되면 사이트 관리자에게 문의하세요.",
    sign_in_cancelled_title: "로그인이 취소되었거나 거부되었습니다",
    sign_in_cancelled_text: "로그인을 취소했거나, 로그인 서비스에서 이 사이트에 대해 계정을 허용하지 않았습니다.",
    sign_in_unknown_provider: "이 로그인 서비스는 여기에서 사용할 수 없습니다.",
    sign_in_choice_needed: "로그인 방법을 선택하세요.",
    sign_in_incomplete_response: "로그인 서비스의 응답이 완전하지 않습니다.",
    sign_in_expired: "로그인하는 데 10분이 넘게 걸렸습니다.",
    sign_in_already_used: "이미 사용된 로그인입니다.",
    sign_in_other_browser: "다른 브라우저에서 시작한 로그인이거나 쿠키가 차단되어 있습니다.",
    sign_in_not_started_here: "이 사이트에서 시작한 로그인이 아니거나, 그사이 사이트가 다시 시작되었거나, 이 사이트의 다른 \
        인스턴스가 응답하고 있습니다.",
    sign_in_cycle: "여러 번 로그인했지만 브라우저가 로그인 상태를 이 사이트에 전달하지 않습니다. 브라우저가 이 사이트의 쿠키를 \
        받아들이지 않거나, 이 로그인을 알지 못하는 이 사이트의 다른 인스턴스가 응답하고 있습니다.",
    sign_in_cycle_with_forward_auth: "여러 번 로그인했지만 브라우저가 로그인 상태를 이 사이트에 전달하지 않습니다. 브라우저가 이 \
        사이트의 쿠키를 받아들이지 않거나, 열려는 주소가 쿠키의 도메인에 포함되지 않거나, 이 로그인을 \
        알지 못하는 이 사이트의 다른 인스턴스가 응답하고 있습니다.",
    sign_in_cycle_at_pages: "여러 번 로그인했지만 열려는 페이지에 로그인 상태를 보여 주는 쿠키가 전달되지 않습니다. 이 로그인을 알지 \
        못하는 이 사이트의 다른 인스턴스가 응답하고 있거나, 이 사이트 앞의 서버가 쿠키를 전달하지 않습니다.",
    sign_in_cycle_at_pages_with_forward_auth: "여러 번 로그인했지만 열려는 페이지에 로그인 상태를 보여 주는 쿠키가 전달되지 않습니다. 이 \
        사이트 앞의 서버가 쿠키를 전달하지 않거나, 페이지의 주소가 쿠키의 도메인에 포함되지 \
        않거나, 이 로그인을 알지 못하는 이 사이트의 다른 인스턴스가 응답하고 있습니다.",
    sign_in_cycle_session_ended: "여러 번 로그인했지만 매번 세션이 바로 종료되었습니다. 로그인 서비스가 발급한 정보가 이미 만료되었고 \
        갱신되지 않았습니다.",
    sign_in_changed_host: "브라우저를 이 사이트의 주소로 보냈지만 요청이 다른 이름으로 도착했습니다. 이 사이트 앞의 서버가 \
        이름(Host)을 바꾸고 있습니다.",
    sign_in_wrong_redirect_uri: "로그인 서비스가 잘못된 주소로 응답을 보냈습니다.",
    sign_in_denied_by_provider: "로그인 서비스가 로그인을 허용하지 않았습니다.",
    sign_in_account_too_large: "계정에 포함된 그룹 등의 정보가 이 사이트에서 처리할 수 있는 양보다 많습니다.",
    sign_in_store_unavailable: "지금은 이 사이트에서 로그인 상태를 저장할 수 없습니다.",
    sign_in_too_many_failures: "사용 중인 네트워크에서 실패한 시도가 너무 많습니다. 잠시 기다려 주세요.",
    sign_in_unusable_response: "로그인 서비스가 이 사이트에서 처리할 수 없는 응답을 보냈습니다.",
    provider_unavailable_title: "로그인 서비스가 응답하지 않습니다",
    provider_unavailable_text: "로그인 서비스에 연결할 수 없거나 문제가 발생했습니다.",
    provider_unavailable_text_named: "{provider}에 연결할 수 없거나 문제가 발생하여 지금은 로그인할 수 없습니다.",
    provider_unavailable_advice: "사용자 쪽의 문제가 아닙니다. 1분쯤 뒤에 다시 시도해 주세요.",
    provider_misconfigured_title: "로그인이 올바르게 설정되지 않았습니다",
    provider_misconfigured_text: "로그인 서비스가 이 사이트를 허용하지 않습니다.",
    provider_misconfigured_text_named: "{provider}에서 이 사이트를 허용하지 않아 로그인할 수 없습니다.",
    provider_misconfigured_advice: "사용자 쪽의 문제가 아니며, 기다려도 해결되지 않습니다. 사이트 관리자에게 알려 주세요.",

    // A user who is not allowed.
    forbidden_title: "이 페이지에 접근할 권한이 없습니다",
    forbidden_account: "현재 {provider}에서 {account} 계정으로 로그인되어 있습니다.",
    forbidden_advice: "접근 권한이 필요하면 사이트 관리자에게 문의하세요.",
    use_another_account: "다른 계정 사용",
    denied_email: "접근이 허용된 이메일 주소가 아닙니다.",
    denied_email_domain: "이메일 주소의 도메인에 접근 권한이 없습니다.",
    denied_email_unverified: "확인되지 않은 이메일 주소로는 접근할 수 없습니다.",
    denied_group: "접근 권한이 있는 그룹에 속한 계정이 아닙니다.",
    denied_groups_in_part: "로그인 서비스가 계정의 그룹을 모두 보내지 않았거나 모두 보내지 않았을 수 있습니다. 받은 그룹 중에는 접근 \
        권한이 있는 그룹이 없습니다.",
    denied_user: "접근 권한이 있는 계정이 아닙니다.",
    denied_provider: "{provider} 계정으로는 이곳에 접근할 수 없습니다.",
    denied_claim: "계정이 접근에 필요한 조건을 갖추지 않았습니다.",
    denied_method: "이 계정으로는 여기에서 이 작업을 할 수 없습니다.",
    denied_path: "이 계정으로는 이 주소에 접근할 수 없습니다.",
    denied_client_address: "현재 사용 중인 네트워크에서는 접근할 수 없습니다.",
    denied_several: "접근 권한이 있는 계정이 아닙니다.",

    // A wrong host.
    wrong_host_title: "이 주소에는 아무것도 없습니다",
    wrong_host_text: "주소에 적힌 이름은 이 사이트의 이름이 아닙니다. {address} 주소를 사용해 주세요.",
    wrong_host_button: "사이트 열기",
    sign_in_only_title: "여기에는 열 수 있는 페이지가 없습니다",
    sign_in_only_text: "{address} 주소는 로그인에만 사용됩니다. 애플리케이션은 해당 주소에서 열어 주세요.",
    redirect_loop_title: "이 사이트는 자기 자신으로 이동합니다",
    redirect_loop_text: "이 주소를 열면 같은 주소로 끝없이 이동하게 됩니다. 사이트 운영자만 이 문제를 해결할 수 있습니다.",

    // Other errors, by HTTP status.
    status_400_title: "이 주소는 사용할 수 없습니다",
    status_400_text: "주소나 요청의 형식이 잘못되었거나 두 가지로 해석될 수 있습니다. 주소를 확인하거나, 뒤로 돌아가 다른 \
        링크를 이용해 주세요.",
    status_403_text: "이 페이지는 이런 방식으로 열 수 없습니다.",
    status_404_title: "페이지를 찾을 수 없습니다",
    status_404_text: "페이지가 이동했거나 주소가 잘못 입력되었을 수 있습니다.",
    status_405_title: "여기에서는 할 수 없는 작업입니다",
    status_405_text: "페이지는 있지만 이런 종류의 요청은 받지 않습니다.",
    status_408_title: "시간이 너무 오래 걸렸습니다",
    status_408_text: "요청이 제시간에 도착하지 않았습니다. 연결 상태를 확인하고 다시 시도해 주세요.",
    status_413_title: "용량이 너무 큽니다",
    status_413_text: "파일이나 양식이 이 페이지에서 받을 수 있는 크기를 넘었습니다. 크기를 줄여 다시 시도해 주세요.",
    status_414_title: "주소가 너무 깁니다",
    status_414_text: "뒤로 돌아가 더 짧은 주소를 사용하거나 첫 페이지에서 다시 시작해 주세요.",
    status_429_title: "시도 횟수가 너무 많습니다",
    status_429_text: "1분쯤 기다린 뒤 다시 시도해 주세요.",
    status_431_title: "요청이 너무 큽니다",
    status_431_text: "브라우저가 보낸 데이터가 너무 많습니다. 이 사이트의 쿠키를 삭제하면 해결되는 경우가 많습니다.",
    status_4xx_title: "요청을 처리하지 못했습니다",
    status_4xx_text: "요청이 받아들여지지 않았습니다. 뒤로 돌아가 다른 방법을 시도해 주세요.",
    status_502_title: "애플리케이션이 응답하지 않습니다",
    status_502_text: "사용자 쪽의 문제가 아닙니다. 이 페이지의 애플리케이션에 연결할 수 없습니다. 1분쯤 뒤에 다시 시도해 주세요.",
    status_503_title: "사이트에 요청이 몰리고 있습니다",
    status_503_text: "사용자 쪽의 문제가 아닙니다. 잠시 뒤에 다시 시도해 주세요.",
    status_504_title: "애플리케이션의 응답이 너무 늦습니다",
    status_504_text: "사용자 쪽의 문제가 아닙니다. 이 페이지의 애플리케이션이 제시간에 응답하지 않았습니다. 1분쯤 뒤에 다시 \
        시도해 주세요.",
    status_505_title: "여기에서는 할 수 없는 작업입니다",
    status_505_text: "이 HTTP 버전은 지원되지 않습니다.",
    status_5xx_title: "문제가 발생했습니다",
    status_5xx_text: "사용자 쪽의 문제가 아닙니다. 다시 시도해 주세요. 문제가 계속되면 사이트 관리자에게 알려 주세요.",
}
