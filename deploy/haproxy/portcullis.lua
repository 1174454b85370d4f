-- Forward auth for HAProxy 2.6 and newer: asks Portcullis about a request before HAProxy forwards it.
--
--     http-request lua.portcullis ADDRESS:PORT
--
-- A request that Portcullis allows goes on with the headers below, as Portcullis set them. Any other request gets
-- the answer of Portcullis: the redirect to sign in, or the page with the reason.
-- Invariant: a request goes on only after an answer of 2xx; every fault denies it.

-- Headers of the answer that replace those of the request. The first four are the default identity headers: list
-- each name of your own `identity_headers` too. `Cookie` is the request's without the cookies of Portcullis.
local FROM_PORTCULLIS = {
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "cookie",
}

-- Headers of the answer that a denied visitor gets. Never `cookie`: scripts could read it.
local TO_VISITOR = {
    "cache-control",
    "content-language",
    "content-security-policy",
    "content-type",
    "location",
    "referrer-policy",
    "retry-after",
    "vary",
    "www-authenticate",
    "x-content-type-options",
}

-- Headers that describe the body or the connection, which the question does not have.
local NOT_ASKED = {
    ["content-length"] = true,
    ["expect"] = true,
    ["host"] = true,
    ["keep-alive"] = true,
    ["proxy-connection"] = true,
    ["te"] = true,
    ["trailer"] = true,
    ["transfer-encoding"] = true,
}

-- Milliseconds. A refresh of the session may have to wait for the provider. HAProxy asks four times before it gives up
-- (httpclient.retries, which only newer versions know), and then the visitor gets 502.
local TIMEOUT = 4000

-- The request's own headers, so that Portcullis can tell a page from an API client and find what it has to deny,
-- with the description of the request over them.
local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not NOT_ASKED[name] then
            headers[name] = values
        end
    end
    -- SECURITY: set on every question, so that a visitor's own values never reach Portcullis.
    local tls = txn.f:ssl_fc()
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-host"] = { txn.sf:req_hdr("host") }
    headers["x-forwarded-proto"] = { (tls == 1 or tls == true) and "https" or "http" }
    headers["x-forwarded-for"] = { txn.sf:src() }
    return headers
end

local function first(headers, name)
    local values = headers[name]
    return values and values[0] or nil
end

local function deny(txn, answer)
    local reply = txn:reply({ status = answer.status, body = answer.body })
    for _, name in ipairs(TO_VISITOR) do
        local value = first(answer.headers, name)
        if value then
            reply:add_header(name, value)
        end
    end
    txn:done(reply)
end

core.register_action("portcullis", { "http-req" }, function(txn, address)
    local answer = core.httpclient():get({
        url = "http://" .. address .. "/oauth2/forward_auth",
        headers = question(txn),
        timeout = TIMEOUT,
    })
    local status = answer and answer.status or 0
    if status == 302 or status == 401 or status == 403 then
        return deny(txn, answer)
    end
    if status < 200 or status > 299 then
        txn:Warning("portcullis: no decision from " .. address .. ", status " .. status)
        return txn:done(txn:reply({ status = 502 }))
    end
    for _, name in ipairs(FROM_PORTCULLIS) do
        local value = first(answer.headers, name)
        if value and value ~= "" then
            txn.http:req_set_header(name, value)
        else
            -- SECURITY: a header that the answer lacks would pass as the visitor sent it.
            txn.http:req_del_header(name)
        end
    end
end, 1)
