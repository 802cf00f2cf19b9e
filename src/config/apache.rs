//! # What Apache has: every directive of 2.4 with the module that owns it, and what to do without
//!
//! It tells "misspelt" from "not supported yet". Directives that Herdgate has are in it, too: the
//! rows are asked first. Of third-party modules it knows those that many servers load.

use herdgate_conf::READ_TIME;
use herdgate_conf::reference::Refused;

use crate::modules::{Row, sections};

/// The module (as `mod_rewrite`) that has the directive, or the section `<Name>`, in any case.
pub(super) fn module_of(name: &str) -> Option<&'static str> {
    let has = |names: &str| names.split_whitespace().any(|known| known.eq_ignore_ascii_case(name));
    DIRECTIVES.iter().find(|(_, names)| has(names)).map(|(module, _)| *module)
}

/// Every directive and section that nothing here knows, by module.
pub(crate) fn refused() -> Vec<Refused> {
    let is_known = |name: &str| {
        let section = name.trim_matches(['<', '>']);
        let is_section = section.len() < name.len();
        (is_section && sections::names().any(|known| known.eq_ignore_ascii_case(section)))
            || READ_TIME.iter().any(|row| row.name.eq_ignore_ascii_case(name))
            || Row::named(name).is_some()
    };
    let refused = DIRECTIVES.iter().map(|(module, names)| Refused {
        module: (*module).to_string(),
        names: names
            .split_whitespace()
            .filter(|name| !is_known(name))
            .map(str::to_string)
            .collect(),
        advice: advice(module).to_string(),
    });
    refused.filter(|refused| !refused.names.is_empty()).collect()
}

/// The module, as `mod_rewrite`, that LoadModule calls by this identifier; `None` if nobody knows it.
pub(super) fn module_by_identifier(identifier: &str) -> Option<String> {
    let name = identifier.strip_suffix("_module")?;
    let file = format!("mod_{name}");
    let known = DIRECTIVES.iter().any(|(module, _)| *module == file)
        || WITHOUT_DIRECTIVES.split_whitespace().any(|known| known == name);
    known.then_some(file)
}

/// Whether there is a module `mod_NAME`.
pub(crate) fn has_module(name: &str) -> bool {
    module_by_identifier(&format!("{name}_module")).is_some()
}

/// What to do about a module that Herdgate has not.
pub(super) fn advice(module: &str) -> &'static str {
    let name = module.strip_prefix("mod_").unwrap_or(module);
    let belongs = |families: &str| {
        families.split_whitespace().any(|family| match family.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == family,
        })
    };
    let found = ADVICE.iter().find(|(families, _)| belongs(families));
    found.map_or("take these lines out, if the site can do without", |(_, advice)| advice)
}

/// By names of modules without `mod_`; a star stands for any end.
const ADVICE: &[(&str, &str)] = &[
    (
        "ssl tls md gnutls nss nw_ssl socache_*",
        "Herdgate speaks no TLS so far: let a proxy that does (HAProxy, nginx, stunnel) stand before it, and take \
         port 443 and these lines out",
    ),
    (
        "http2",
        "Herdgate speaks HTTP/1.1: take the line out, clients settle for it; or let a proxy that speaks HTTP/2 stand \
         before it",
    ),
    (
        "proxy* lbmethod_* balancer jk slotmem_* heartbeat heartmonitor xml2enc serf",
        "Herdgate passes no request on so far: let HAProxy or nginx stand before it, which sends these URLs to the back \
         end and all others here",
    ),
    (
        "php* perl python wsgi fcgid fastcgi lua passenger mono",
        "Herdgate runs no programs: keep a server for them (PHP-FPM behind nginx, an application server), and let a \
         proxy before both send it what is dynamic",
    ),
    (
        "cgi cgid suexec actions cern_meta ext_filter privileges",
        "Herdgate runs no programs: keep a server for the CGI scripts, and let a proxy before both send them there",
    ),
    (
        "include",
        "Herdgate does not read server-side includes: write the pages out when the site is built, or keep Apache for them",
    ),
    ("dav*", "Herdgate only reads files: keep Apache for WebDAV, at an address of its own"),
    (
        "cache* file_cache",
        "Herdgate needs no cache of its own for files: the kernel has them in memory; take these lines out",
    ),
    (
        "auth_digest auth_form authn_dbd authn_dbm authn_anon authn_socache authnz_* authz_dbd authz_dbm authz_owner dbd \
         ldap session* ident auth_openidc auth_kerb auth_gssapi",
        "Herdgate knows users from files only: use AuthType Basic with AuthUserFile, or let a proxy before it \
         ask for the password",
    ),
    (
        "evasive qos dialup",
        "ClientMaxConnections and ClientMaxRequestRate limit what one client may have, over all children; see \
         RequestReadTimeout for slow ones",
    ),
    (
        "security*",
        "Herdgate has no such guard: see RequestReadTimeout, LimitRequestBody, ClientMaxConnections and \
         ClientMaxRequestRate; or let a proxy before it stand guard",
    ),
    ("mpm_*", "Herdgate has the models prefork, worker and event: choose one of them"),
    (
        "substitute sed proxy_html charset_lite reflector data imagemap asis",
        "Herdgate sends files as they are: do this when the site is built",
    ),
    (
        "log_forensic log_debug logio_ttfb usertrack",
        "take these lines out; CustomLog can tell most of it",
    ),
];

/// Modules that no directive belongs to, or whose identifier does not follow from their file's
/// name.
const WITHOUT_DIRECTIVES: &str = "\
    access_compat asis auth_digest auth_gssapi auth_kerb auth_openidc authn_anon authn_core \
    authz_groupfile authz_user bucketeer case_filter case_filter_in cern_meta cgi cgid data dialup \
    echo example_hooks fastcgi gnutls heartbeat http imagemap info lbmethod_bybusyness \
    lbmethod_byrequests lbmethod_bytraffic lbmethod_heartbeat mono mpm_motorz nss pagespeed php \
    php5 php7 php8 proxy_ajp proxy_connect proxy_fdpass proxy_hcheck proxy_http proxy_http2 \
    proxy_uwsgi proxy_wstunnel python qos ratelimit security3 slotmem_plain slotmem_shm socache_dbm \
    socache_dc socache_memcache socache_redis socache_shmcb suexec systemd tls unique_id";

const DIRECTIVES: &[(&str, &str)] = &[
    (
        "core",
        "AcceptFilter AcceptPathInfo AccessFileName AddDefaultCharset AllowEncodedSlashes \
         AllowOverride AllowOverrideList CGIMapExtension CGIPassAuth CGIVar ContentDigest \
         DefaultRuntimeDir DefaultType Define <Directory> <DirectoryMatch> DocumentRoot <Else> \
         <ElseIf> EnableMMAP EnableSendfile Error ErrorDocument ErrorLog ErrorLogFormat \
         ExtendedStatus FileETag <Files> <FilesMatch> FlushMaxPipelined FlushMaxThreshold \
         ForceType GprofDir HostnameLookups HttpProtocolOptions <If> <IfDefine> <IfDirective> \
         <IfFile> <IfModule> <IfSection> Include IncludeOptional KeepAlive KeepAliveTimeout \
         <Limit> <LimitExcept> LimitInternalRecursion LimitRequestBody LimitRequestFields \
         LimitRequestFieldSize LimitRequestLine LimitXMLRequestBody <Location> <LocationMatch> \
         LogLevel MaxKeepAliveRequests MaxRangeOverlaps MaxRangeReversals MaxRanges MergeSlashes \
         MergeTrailers Mutex NameVirtualHost Options Protocol Protocols ProtocolsHonorOrder \
         QualifyRedirectURL ReadBufferSize RegexDefaultOptions RegisterHttpMethod RLimitCPU \
         RLimitMEM RLimitNPROC ScriptInterpreterSource SeeRequestTail ServerAdmin ServerAlias \
         ServerName ServerPath ServerRoot ServerSignature ServerTokens SetHandler SetInputFilter \
         SetOutputFilter StrictHostCheck TimeOut TraceEnable UnDefine UNCList UseCanonicalName \
         UseCanonicalPhysicalPort <VirtualHost> Warning",
    ),
    (
        "mpm_common",
        "AsyncRequestWorkerFactor CoreDumpDirectory EnableExceptionHook GracefulShutdownTimeout \
         Group Listen ListenBacklog ListenCoresBucketsRatio LockFile AcceptMutex MaxClients \
         MaxConnectionsPerChild MaxMemFree MaxRequestWorkers MaxRequestsPerChild MaxSpareServers \
         MaxSpareThreads MinSpareServers MinSpareThreads PidFile ReceiveBufferSize ScoreBoardFile \
         SendBufferSize ServerLimit StartServers StartThreads ThreadLimit ThreadsPerChild \
         ThreadStackSize User",
    ),
    ("mod_access_compat", "Allow Deny Order Satisfy"),
    ("mod_actions", "Action Script"),
    (
        "mod_alias",
        "Alias AliasMatch AliasPreservePath Redirect RedirectMatch RedirectPermanent \
         RedirectRelative RedirectTemp ScriptAlias ScriptAliasMatch",
    ),
    ("mod_allowmethods", "AllowMethods"),
    (
        "mod_auth_basic",
        "AuthBasicAuthoritative AuthBasicFake AuthBasicProvider AuthBasicUseDigestAlgorithm",
    ),
    (
        "mod_auth_digest",
        "AuthDigestAlgorithm AuthDigestDomain AuthDigestNonceLifetime AuthDigestProvider \
         AuthDigestQop AuthDigestShmemSize",
    ),
    (
        "mod_auth_form",
        "AuthFormAuthoritative AuthFormBody AuthFormDisableNoStore AuthFormFakeBasicAuth \
         AuthFormLocation AuthFormLoginRequiredLocation AuthFormLoginSuccessLocation \
         AuthFormLogoutLocation AuthFormMethod AuthFormMimetype AuthFormPassword AuthFormProvider \
         AuthFormSitePassphrase AuthFormSize AuthFormUsername",
    ),
    (
        "mod_authn_anon",
        "Anonymous Anonymous_LogEmail Anonymous_MustGiveEmail Anonymous_NoUserID \
         Anonymous_VerifyEmail",
    ),
    ("mod_authn_core", "AuthName <AuthnProviderAlias> AuthType"),
    ("mod_authn_dbd", "AuthDBDUserPWQuery AuthDBDUserRealmQuery"),
    ("mod_authn_dbm", "AuthDBMType AuthDBMUserFile"),
    ("mod_authn_file", "AuthUserFile"),
    (
        "mod_authn_socache",
        "AuthnCacheContext AuthnCacheEnable AuthnCacheProvideFor AuthnCacheSOCache \
         AuthnCacheTimeout",
    ),
    ("mod_authnz_fcgi", "AuthnzFcgiCheckAuthnProvider AuthnzFcgiDefineProvider"),
    (
        "mod_authnz_ldap",
        "AuthLDAPAuthorizePrefix AuthLDAPBindAuthoritative AuthLDAPBindDN AuthLDAPBindPassword \
         AuthLDAPCharsetConfig AuthLDAPCompareAsUser AuthLDAPCompareDNOnServer \
         AuthLDAPDereferenceAliases AuthLDAPGroupAttribute AuthLDAPGroupAttributeIsDN \
         AuthLDAPInitialBindAsUser AuthLDAPInitialBindPattern AuthLDAPMaxSubGroupDepth \
         AuthLDAPRemoteUserAttribute AuthLDAPRemoteUserIsDN AuthLDAPSearchAsUser \
         AuthLDAPSubGroupAttribute AuthLDAPSubGroupClass AuthLDAPURL",
    ),
    (
        "mod_authz_core",
        "AuthMerging <AuthzProviderAlias> AuthzSendForbiddenOnFailure Require <RequireAll> \
         <RequireAny> <RequireNone>",
    ),
    ("mod_authz_dbd", "AuthzDBDLoginToReferer AuthzDBDQuery AuthzDBDRedirectQuery"),
    ("mod_authz_dbm", "AuthDBMGroupFile AuthzDBMType"),
    ("mod_authz_groupfile", "AuthGroupFile"),
    ("mod_authz_host", ""),
    ("mod_authz_owner", ""),
    (
        "mod_autoindex",
        "AddAlt AddAltByEncoding AddAltByType AddDescription AddIcon AddIconByEncoding \
         AddIconByType DefaultIcon FancyIndexing HeaderName IndexHeadInsert IndexIgnore \
         IndexIgnoreReset IndexOptions IndexOrderDefault IndexStyleSheet ReadmeName",
    ),
    (
        "mod_brotli",
        "BrotliAlterETag BrotliCompressionMaxInputBlock BrotliCompressionQuality \
         BrotliCompressionWindow BrotliFilterNote",
    ),
    ("mod_buffer", "BufferSize"),
    (
        "mod_cache",
        "CacheDefaultExpire CacheDetailHeader CacheDisable CacheEnable CacheHeader \
         CacheIgnoreCacheControl CacheIgnoreHeaders CacheIgnoreNoLastMod CacheIgnoreQueryString \
         CacheIgnoreURLSessionIdentifiers CacheKeyBaseURL CacheLastModifiedFactor CacheLock \
         CacheLockMaxAge CacheLockPath CacheMaxExpire CacheMinExpire CacheQuickHandler \
         CacheStaleOnError CacheStoreExpired CacheStoreNoStore CacheStorePrivate",
    ),
    (
        "mod_cache_disk",
        "CacheDirLength CacheDirLevels CacheMaxFileSize CacheMinFileSize CacheReadSize \
         CacheReadTime CacheRoot",
    ),
    (
        "mod_cache_socache",
        "CacheSocache CacheSocacheMaxSize CacheSocacheMaxTime CacheSocacheMinTime \
         CacheSocacheReadSize CacheSocacheReadTime",
    ),
    ("mod_cern_meta", "MetaDir MetaFiles MetaSuffix"),
    ("mod_cgi", "CGIScriptTimeout ScriptLog ScriptLogBuffer ScriptLogLength"),
    ("mod_cgid", "CGIDScriptTimeout ScriptSock"),
    ("mod_charset_lite", "CharsetDefault CharsetOptions CharsetSourceEnc"),
    ("mod_dav", "Dav DavBasePath DavDepthInfinity DavLockDiscovery DavMinTimeout"),
    ("mod_dav_fs", "DavLockDB DavLockDBType"),
    ("mod_dav_lock", "DavGenericLockDB DavGenericLockDBType"),
    (
        "mod_dbd",
        "DBDExptime DBDInitSQL DBDKeep DBDMax DBDMin DBDParams DBDPersist DBDPrepareSQL DBDriver",
    ),
    (
        "mod_deflate",
        "DeflateAlterETag DeflateBufferSize DeflateCompressionLevel DeflateFilterNote \
         DeflateInflateLimitRequestBody DeflateInflateRatioBurst DeflateInflateRatioLimit \
         DeflateMemLevel DeflateWindowSize",
    ),
    ("mod_dialup", "ModemStandard"),
    (
        "mod_dir",
        "DirectoryCheckHandler DirectoryIndex DirectoryIndexRedirect DirectorySlash \
         FallbackResource",
    ),
    ("mod_dumpio", "DumpIOInput DumpIOOutput"),
    ("mod_echo", "ProtocolEcho"),
    ("mod_env", "PassEnv SetEnv UnsetEnv"),
    ("mod_expires", "ExpiresActive ExpiresByType ExpiresDefault"),
    ("mod_ext_filter", "ExtFilterDefine ExtFilterOptions"),
    ("mod_file_cache", "CacheFile MMapFile"),
    (
        "mod_filter",
        "AddOutputFilterByType FilterChain FilterDeclare FilterProtocol FilterProvider FilterTrace",
    ),
    ("mod_headers", "Header RequestHeader"),
    ("mod_heartbeat", "HeartbeatAddress"),
    ("mod_heartmonitor", "HeartbeatListen HeartbeatMaxServers HeartbeatStorage"),
    (
        "mod_http2",
        "H2CopyFiles H2Direct H2EarlyHint H2EarlyHints H2MaxDataFrameLen H2MaxHeaderBlockLen \
         H2MaxSessionStreams H2MaxStreamErrors H2MaxWorkerIdleSeconds H2MaxWorkers H2MinWorkers \
         H2ModernTLSOnly H2OutputBuffering H2Padding H2ProxyRequests H2Push H2PushDiarySize \
         H2PushPriority H2PushResource H2SerializeHeaders H2StreamMaxMemSize H2StreamTimeout \
         H2TLSCoolDownSecs H2TLSWarmUpSize H2Upgrade H2WebSockets H2WindowSize",
    ),
    ("mod_ident", "IdentityCheck IdentityCheckTimeout"),
    ("mod_imagemap", "ImapBase ImapDefault ImapMenu"),
    (
        "mod_include",
        "SSIEndTag SSIErrorMsg SSIETag SSILastModified SSILegacyExprParser SSIStartTag \
         SSITimeFormat SSIUndefinedEcho XBitHack",
    ),
    ("mod_info", "AddModuleInfo"),
    (
        "mod_isapi",
        "ISAPIAppendLogToErrors ISAPIAppendLogToQuery ISAPICacheFile ISAPIFakeAsync \
         ISAPILogNotSupported ISAPIReadAheadBuffer",
    ),
    ("mod_journald", "JournaldTransferLog"),
    (
        "mod_ldap",
        "LDAPCacheEntries LDAPCacheTTL LDAPConnectionPoolTTL LDAPConnectionTimeout \
         LDAPLibraryDebug LDAPOpCacheEntries LDAPOpCacheTTL LDAPReferralHopLimit LDAPReferrals \
         LDAPRetries LDAPRetryDelay LDAPSharedCacheFile LDAPSharedCacheSize LDAPTimeout \
         LDAPTrustedClientCert LDAPTrustedGlobalCert LDAPTrustedMode LDAPVerifyServerCert",
    ),
    ("mod_log_config", "BufferedLogs CookieLog CustomLog GlobalLog LogFormat TransferLog"),
    ("mod_log_debug", "LogMessage"),
    ("mod_log_forensic", "ForensicLog"),
    ("mod_logio", "LogIOTrackTTFB"),
    (
        "mod_lua",
        "LuaAuthzProvider LuaCodeCache LuaHookAccessChecker LuaHookAuthChecker LuaHookCheckUserID \
         LuaHookFixups LuaHookInsertFilter LuaHookLog LuaHookMapToStorage LuaHookPreTranslate \
         LuaHookTranslateName LuaHookTypeChecker LuaInherit LuaInputFilter LuaMapHandler \
         LuaOutputFilter LuaPackageCPath LuaPackagePath LuaQuickHandler LuaRoot LuaScope",
    ),
    ("mod_macro", "<Macro> UndefMacro Use"),
    (
        "mod_md",
        "MDActivationDelay MDBaseServer MDCACertificateFile MDCAChallenges MDCertificateAgreement \
         MDCertificateAuthority MDCertificateCheck MDCertificateFile MDCertificateKeyFile \
         MDCertificateMonitor MDCertificateProtocol MDCertificateStatus MDChallengeDns01 \
         MDChallengeDns01Version MDCheckInterval MDContactEmail MDDriveMode \
         MDExternalAccountBinding MDHttpProxy MDHttpProxyCACertificateFile MDInitialDelay \
         MDMatchNames MDMember MDMembers MDMessageCMD MDMustStaple MDNotifyCmd <MDomain> <MDomainSet> MDomain MDPortMap \
         MDPrivateKeys MDProfile MDProfileMandatory MDRenewMode MDRenewViaARI MDRenewWindow \
         MDRequireHttps MDRetryDelay MDRetryFailover MDServerStatus MDStapleOthers MDStapling \
         MDStaplingKeepResponse MDStaplingRenewWindow MDStoreDir MDStoreLocks MDWarnWindow",
    ),
    (
        "mod_mime",
        "AddCharset AddEncoding AddHandler AddInputFilter AddLanguage AddOutputFilter AddType \
         DefaultLanguage ModMimeUsePathInfo MultiviewsMatch RemoveCharset RemoveEncoding \
         RemoveHandler RemoveInputFilter RemoveLanguage RemoveOutputFilter RemoveType TypesConfig",
    ),
    ("mod_mime_magic", "MimeMagicFile"),
    ("mod_negotiation", "CacheNegotiatedDocs ForceLanguagePriority LanguagePriority"),
    ("mod_nw_ssl", "NWSSLTrustedCerts NWSSLUpgradeable SecureListen"),
    (
        "mod_privileges",
        "DTracePrivileges PrivilegesMode VHostCGIMode VHostCGIPrivs VHostPrivs VHostSecure \
         VHostGroup VHostUser",
    ),
    ("mod_optional_hook_export", ""),
    (
        "mod_proxy",
        "BalancerGrowth BalancerInherit BalancerMember BalancerPersist NoProxy <Proxy> \
         Proxy100Continue ProxyAddHeaders ProxyBadHeader ProxyBlock ProxyDomain ProxyErrorOverride \
         ProxyIOBufferSize <ProxyMatch> ProxyMaxForwards ProxyPass ProxyPassInherit \
         ProxyPassInterpolateEnv ProxyPassMatch ProxyPassReverse ProxyPassReverseCookieDomain \
         ProxyPassReverseCookiePath ProxyPreserveHost ProxyReceiveBufferSize ProxyRemote \
         ProxyRemoteMatch ProxyRequests ProxySet ProxySourceAddress ProxyStatus ProxyTimeout \
         ProxyVia",
    ),
    ("mod_proxy_balancer", ""),
    ("mod_proxy_connect", "AllowCONNECT"),
    ("mod_proxy_express", "ProxyExpressDBMFile ProxyExpressDBMType ProxyExpressEnable"),
    ("mod_proxy_fcgi", "ProxyFCGIBackendType ProxyFCGISetEnvIf"),
    ("mod_proxy_ftp", "ProxyFtpDirCharset ProxyFtpEscapeWildcards ProxyFtpListOnWildcard"),
    ("mod_proxy_hcheck", "ProxyHCExpr ProxyHCTemplate ProxyHCTPsize"),
    (
        "mod_proxy_html",
        "ProxyHTMLBufSize ProxyHTMLCharsetOut ProxyHTMLDocType ProxyHTMLEnable ProxyHTMLEvents \
         ProxyHTMLExtended ProxyHTMLFixups ProxyHTMLInterp ProxyHTMLLinks ProxyHTMLMeta \
         ProxyHTMLStripComments ProxyHTMLURLMap",
    ),
    ("mod_proxy_scgi", "ProxySCGIInternalRedirect ProxySCGISendfile"),
    (
        "mod_proxy_wstunnel",
        "ProxyWebsocketAsync ProxyWebsocketAsyncDelay ProxyWebsocketFallbackToProxyHttp \
         ProxyWebsocketIdleTimeout",
    ),
    ("mod_reflector", "ReflectorHeader"),
    (
        "mod_remoteip",
        "RemoteIPHeader RemoteIPInternalProxy RemoteIPInternalProxyList RemoteIPProxiesHeader \
         RemoteIPProxyProtocol RemoteIPProxyProtocolExceptions RemoteIPTrustedProxy \
         RemoteIPTrustedProxyList",
    ),
    ("mod_reqtimeout", "RequestReadTimeout"),
    ("mod_request", "KeptBodySize"),
    ("mod_rewrite", "RewriteBase RewriteCond RewriteEngine RewriteMap RewriteOptions RewriteRule"),
    ("mod_sed", "InputSed OutputSed"),
    (
        "mod_session",
        "Session SessionEnv SessionExclude SessionExpiryUpdateInterval SessionHeader \
         SessionInclude SessionMaxAge",
    ),
    (
        "mod_session_cookie",
        "SessionCookieMaxAge SessionCookieName SessionCookieName2 SessionCookieRemove",
    ),
    (
        "mod_session_crypto",
        "SessionCryptoCipher SessionCryptoDriver SessionCryptoPassphrase \
         SessionCryptoPassphraseFile",
    ),
    (
        "mod_session_dbd",
        "SessionDBDCookieName SessionDBDCookieName2 SessionDBDCookieRemove SessionDBDDeleteLabel \
         SessionDBDInsertLabel SessionDBDPerUser SessionDBDSelectLabel SessionDBDUpdateLabel",
    ),
    ("mod_setenvif", "BrowserMatch BrowserMatchNoCase SetEnvIf SetEnvIfExpr SetEnvIfNoCase"),
    ("mod_so", "LoadFile LoadModule"),
    ("mod_socache_memcache", "MemcacheConnTTL"),
    ("mod_socache_redis", "RedisConnPoolTTL RedisTimeout"),
    ("mod_speling", "CheckBasenameMatch CheckCaseOnly CheckSpelling"),
    (
        "mod_ssl",
        "SSLCACertificateFile SSLCACertificatePath SSLCADNRequestFile SSLCADNRequestPath \
         SSLCARevocationCheck SSLCARevocationFile SSLCARevocationPath SSLCertificateChainFile \
         SSLCertificateFile SSLCertificateKeyFile SSLCipherSuite SSLClientHelloVars SSLCompression \
         SSLCryptoDevice SSLEngine SSLFIPS SSLHonorCipherOrder SSLInsecureRenegotiation \
         SSLOCSPDefaultResponder SSLOCSPEnable SSLOCSPNoverify SSLOCSPOverrideResponder \
         SSLOCSPProxyURL SSLOCSPResponderCertificateFile SSLOCSPResponderTimeout \
         SSLOCSPResponseMaxAge SSLOCSPResponseTimeSkew SSLOCSPUseRequestNonce SSLOpenSSLConfCmd \
         SSLOptions SSLPassPhraseDialog SSLPolicy SSLProtocol SSLProxyCACertificateFile \
         SSLProxyCACertificatePath SSLProxyCARevocationCheck SSLProxyCARevocationFile \
         SSLProxyCARevocationPath SSLProxyCheckPeerCN SSLProxyCheckPeerExpire \
         SSLProxyCheckPeerName SSLProxyCipherSuite SSLProxyEngine \
         SSLProxyMachineCertificateChainFile SSLProxyMachineCertificateFile \
         SSLProxyMachineCertificatePath SSLProxyProtocol SSLProxyVerify SSLProxyVerifyDepth \
         SSLRandomSeed SSLRenegBufferSize SSLRequire SSLRequireSSL SSLSessionCache \
         SSLSessionCacheTimeout SSLSessionTicketKeyFile SSLSessionTickets SSLSRPUnknownUserSeed \
         SSLSRPVerifierFile SSLStaplingCache SSLStaplingErrorCacheTimeout SSLStaplingFakeTryLater \
         SSLStaplingForceURL SSLStaplingResponderTimeout SSLStaplingResponseMaxAge \
         SSLStaplingResponseTimeSkew SSLStaplingReturnResponderErrors \
         SSLStaplingStandardCacheTimeout SSLStrictSNIVHostCheck SSLUserName SSLUseStapling \
         SSLVerifyClient SSLVerifyDepth SSLVHostSNIPolicy",
    ),
    ("mod_status", ""),
    ("mod_substitute", "Substitute SubstituteInheritBefore SubstituteMaxLineLength"),
    ("mod_suexec", "SuexecUserGroup"),
    ("mod_systemd", "IdleShutdown"),
    (
        "mod_tls",
        "TLSCertificate TLSCiphersPrefer TLSCiphersSuppress TLSEngine TLSHonorClientOrder \
         TLSOptions TLSProtocol TLSProxyCA TLSProxyCiphersPrefer TLSProxyCiphersSuppress \
         TLSProxyEngine TLSProxyMachineCertificate TLSProxyProtocol TLSSessionCache TLSStrictSNI",
    ),
    ("mod_unixd", "ChrootDir Suexec"),
    ("mod_userdir", "UserDir"),
    (
        "mod_usertrack",
        "CookieDomain CookieExpires CookieHTTPOnly CookieName CookieSameSite CookieSecure \
         CookieStyle CookieTracking",
    ),
    ("mod_version", "<IfVersion>"),
    (
        "mod_vhost_alias",
        "VirtualDocumentRoot VirtualDocumentRootIP VirtualScriptAlias VirtualScriptAliasIP",
    ),
    ("mod_watchdog", "WatchdogInterval"),
    ("mod_xml2enc", "xml2EncAlias xml2EncDefault xml2StartParse"),
    // Not Apache's own.
    (
        "mod_evasive",
        "DOSBlockingPeriod DOSEmailNotify DOSHashTableSize DOSLogDir DOSPageCount DOSPageInterval \
         DOSSiteCount DOSSiteInterval DOSSystemCommand",
    ),
    (
        "mod_fcgid",
        "FcgidAccessChecker FcgidAuthenticator FcgidBusyTimeout FcgidCmdOptions FcgidConnectTimeout \
         FcgidIdleTimeout FcgidInitialEnv FcgidIOTimeout FcgidIPCDir FcgidMaxProcesses \
         FcgidMaxProcessesPerClass FcgidMaxRequestLen FcgidMaxRequestsPerProcess FcgidPassHeader \
         FcgidProcessTableFile FcgidWrapper",
    ),
    (
        "mod_jk",
        "JkAutoAlias JkLogFile JkLogLevel JkMount JkMountFile JkOptions JkShmFile JkUnMount JkWorkersFile",
    ),
    (
        "mod_passenger",
        "PassengerAppRoot PassengerDefaultRuby PassengerEnabled PassengerRoot PassengerRuby",
    ),
    (
        "mod_perl",
        "PerlHandler PerlModule PerlOptions PerlRequire PerlResponseHandler PerlSetVar PerlSwitches",
    ),
    ("mod_php", "php_admin_flag php_admin_value php_flag php_value PHPIniDir"),
    (
        "mod_security2",
        "SecAction SecAuditEngine SecAuditLog SecDataDir SecDebugLog SecRequestBodyAccess \
         SecResponseBodyAccess SecRule SecRuleEngine SecTmpDir",
    ),
    (
        "mod_wsgi",
        "WSGIApplicationGroup WSGIDaemonProcess WSGIPassAuthorization WSGIProcessGroup WSGIPythonHome \
         WSGIPythonPath WSGIScriptAlias WSGIScriptAliasMatch WSGISocketPrefix",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_directive_has_one_owner() {
        let mut seen = HashSet::new();
        for name in DIRECTIVES.iter().flat_map(|(_, names)| names.split_whitespace()) {
            assert!(seen.insert(name.to_ascii_lowercase()), "{name} is there twice");
        }
        assert!(seen.len() > 600, "{} names", seen.len());
    }

    #[test]
    fn knows_sections_and_any_case() {
        assert_eq!(module_of("rewriterule"), Some("mod_rewrite"));
        assert_eq!(module_of("<Proxy>"), Some("mod_proxy"));
        assert_eq!(module_of("RewriteRull"), None);
        assert_eq!(module_by_identifier("rewrite_module").as_deref(), Some("mod_rewrite"));
        assert_eq!(module_by_identifier("cgid_module").as_deref(), Some("mod_cgid"));
        assert_eq!(module_by_identifier("php_module").as_deref(), Some("mod_php"));
        assert_eq!(module_by_identifier("banana_module"), None);
        assert!(has_module("ssl") && !has_module("banana"));
    }

    #[test]
    fn families_of_modules_have_advice_of_their_own() {
        let families = [
            "mod_ssl",
            "mod_proxy_fcgi",
            "mod_php",
            "mod_cgi",
            "mod_include",
            "mod_dav_fs",
            "mod_authnz_ldap",
        ];
        let advice: HashSet<&str> = families.iter().map(|module| advice(module)).collect();
        assert_eq!(advice.len(), families.len(), "{advice:#?}");
        assert_eq!(super::advice("mod_banana"), super::advice("mod_speling"));
        for (_, advice) in ADVICE {
            assert!(!advice.ends_with('.'), "{advice}");
        }
    }
}
