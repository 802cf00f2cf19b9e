//! Whole small configurations and what becomes of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::geometry::Model;
use super::{Config, DirSettings, FolderOptions, HostSettings, Loaded, Source};
use crate::http::head::Form;
use crate::modules::authz_core::tests::Client;
use crate::modules::core::{ErrorDocument, Level, Options, Trace};
use crate::modules::mime;
use crate::modules::mpm_common::{GateKind, ListenAddress, Mechanism};
use crate::route::walk::MergeCache;

/// Reads `text` as httpd.conf of a server at /.
fn load(text: &str) -> Result<Loaded, String> {
    let source = Source { root: "/".into(), before: vec![text.to_string()], ..Source::default() };
    Config::load(&source).map_err(|diagnostics| diagnostics.to_string())
}

/// The same with a Listen line, which everybody needs.
#[track_caller]
fn config(text: &str) -> Config {
    let loaded = load(&format!("Listen 80\n{text}")).unwrap_or_else(|message| panic!("{message}"));
    assert_eq!(loaded.warnings.to_string(), "", "no warnings expected");
    loaded.config
}

/// The messages of a configuration that cannot be used, without their places.
#[track_caller]
fn errors(text: &str) -> Vec<String> {
    let source = Source { root: "/".into(), before: vec![text.to_string()], ..Source::default() };
    match Config::load(&source) {
        Ok(_) => panic!("no error in {text}"),
        Err(found) => {
            found.list.into_iter().filter(|each| each.is_error()).map(|each| each.message).collect()
        }
    }
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let found = errors(&format!("Listen 80\n{text}"));
    assert_eq!(found, [expected], "{text}");
}

#[track_caller]
fn check_warning(text: &str, expected: &str) {
    let loaded = load(&format!("Listen 80\n{text}")).unwrap_or_else(|message| panic!("{message}"));
    let found: Vec<_> = loaded.warnings.list.into_iter().map(|each| each.message).collect();
    assert_eq!(found, [expected], "{text}");
}

#[track_caller]
fn check_host(text: &str, holds: impl Fn(&HostSettings) -> bool) {
    assert!(holds(&config(text).main().settings), "{text}");
}

#[track_caller]
fn check_base(text: &str, holds: impl Fn(&DirSettings) -> bool) {
    assert!(holds(config(text).main().base()), "{text}");
}

#[track_caller]
fn check_path(text: &str, path: &str, holds: impl Fn(&DirSettings) -> bool) {
    let config = config(text);
    let host = config.main();
    let root = host.settings.core.document_root().expect("there is one");
    let file = root.join(path.trim_start_matches('/'));
    let mut cache = MergeCache::default();
    let settings = host.settings_without_htaccess(path.as_bytes(), Some(&file), &mut cache);
    assert!(holds(&settings), "{path}: {settings:#?}");
}

fn local(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn the_smallest_configuration() {
    let config = config("");
    assert_eq!(config.hosts.len(), 1);
    assert_eq!(config.server.mpm.geometry.model, Model::Event);
    assert_eq!(config.server.mpm.gate.kind, GateKind::Exclusive);
    assert_eq!(config.server.mpm.listen[0].address, ListenAddress::Any(80));
    assert_eq!(config.server.mpm.pid_file, Path::new("/logs/herdgate.pid"));
}

#[test]
fn hosts_have_settings() {
    check_host("KeepAliveTimeout 500ms", |host| host.core.keep_alive_timeout().as_millis() == 500);
    check_host("KeepAliveTimeout 0", |host| !host.core.keep_alive());
    check_host("Timeout 2mi", |host| host.core.timeout().as_secs() == 120);
    check_host("LimitRequestFields 0", |host| host.core.limits().fields_max.is_none());
    check_host("LimitRequestFieldStatus 431", |host| host.core.limits().field_status.code() == 431);
    check_host("HttpProtocolOptions unsafe registeredmethods", |host| {
        host.core.head_limits().form == Form::Unsafe && host.core.registered_methods()
    });
    check_host("HttpProtocolOptions Unsafe Allow0.9\nHttpProtocolOptions Strict", |host| {
        let limits = host.core.head_limits();
        limits.form == Form::Strict && limits.allows_http09
    });
    check_host("TraceEnable extended", |host| host.core.trace() == Trace::Extended);
    check_host("ServerName HTTPS://Example.org.:8443", |host| {
        host.core.name().map(ToString::to_string).as_deref() == Some("https://example.org:8443")
    });
    check_host("ServerName [::1]:80", |host| {
        host.core.name().is_some_and(|name| name.host == "[::1]")
    });
}

#[test]
fn directories_have_settings() {
    check_base("Options Indexes", |dir| dir.core.options() == Options::INDEXES);
    check_base("Options +Indexes", |dir| {
        dir.core.options().contains(Options::INDEXES)
            && dir.core.options().contains(Options::FOLLOW_SYM_LINKS)
    });
    check_base("Options None +Indexes", |dir| dir.core.options() == Options::INDEXES);
    check_base("Options Indexes FollowSymLinks\nOptions -Indexes", |dir| {
        dir.core.options() == Options::FOLLOW_SYM_LINKS
    });
    check_base("DirectoryIndex a.html\nDirectoryIndex b.html", |dir| {
        dir.dir.index().eq(["a.html", "b.html"])
    });
    check_base("DirectoryIndex disabled", |dir| dir.dir.index().next().is_none());
    check_base("ErrorDocument 404 /lost.html", |dir| {
        dir.core.error_document(404) == Some(&ErrorDocument::Path("/lost.html".into()))
    });
    check_base("ErrorDocument 404 \"Not here, sorry\"", |dir| {
        dir.core.error_document(404) == Some(&ErrorDocument::Text("Not here, sorry".into()))
    });
    check_base("ErrorDocument 404 https://example.org/", |dir| {
        matches!(dir.core.error_document(404), Some(ErrorDocument::Url(_)))
    });
    check_base("ErrorDocument 404 /a\nErrorDocument 404 default", |dir| {
        dir.core.error_document(404).is_none()
    });
    check_base("AddDefaultCharset On", |dir| dir.core.default_charset() == Some("iso-8859-1"));
    check_base("LogLevel debug dir:trace3", |dir| {
        dir.core.log_levels().level("dir") == Level::Trace(3)
            && dir.core.log_levels().level("core") == Level::Debug
    });
}

#[test]
fn models_are_chosen_by_load_module() {
    let text = "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n\
        <IfModule prefork.c>\nMaxRequestWorkers 7\n</IfModule>\n\
        <IfModule mpm_event_module>\nMaxRequestWorkers 500\n</IfModule>\n\
        <IfModule !dav_module>\nStartServers 2\n</IfModule>";
    let geometry = config(text).server.mpm.geometry;
    assert_eq!(geometry.model, Model::Prefork);
    assert_eq!((geometry.processes_max, geometry.start_servers), (7, 2));
}

#[test]
fn modules_that_are_not_built_in_are_refused() {
    check_error("LoadModule dav_module a.so", "LoadModule: dav_module is not supported yet");
    check_error(
        "LoadModule mine_module a.so",
        "LoadModule: mine_module is not a module of Herdgate",
    );
    check_error(
        "LoadModule mpm_prefork_module a.so\nLoadModule mpm_worker_module b.so",
        "LoadModule: More than one MPM loaded",
    );
    config("LoadModule mime_module modules/mod_mime.so");
}

#[test]
fn the_gate_follows_mutex_and_accept_serialization() {
    let mutex = |mechanism| GateKind::Mutex { mechanism, folder: None, omit_pid: false };
    let in_tmp =
        |mechanism, omit_pid| GateKind::Mutex { mechanism, folder: Some("/tmp".into()), omit_pid };
    let counted = |places, mechanism| GateKind::Counted { places, mechanism };
    for (text, expected) in [
        ("", GateKind::Exclusive),
        ("Mutex default", GateKind::Exclusive),
        ("Mutex fcntl:/tmp mpm-accept", in_tmp(Mechanism::Fcntl, false)),
        ("Mutex file:tmp default\nAcceptSerialization On", in_tmp(Mechanism::Fcntl, false)),
        ("Mutex FLOCK:/tmp mpm-accept OMITPID", in_tmp(Mechanism::Flock, true)),
        ("Mutex flock:/tmp OmitPID mpm-accept ssl-cache", in_tmp(Mechanism::Flock, true)),
        ("Mutex flock:/tmp mpm-accept\nMutex fcntl mpm-accept", in_tmp(Mechanism::Fcntl, false)),
        ("Mutex flock:/tmp\nMutex fcntl mpm-accept", in_tmp(Mechanism::Fcntl, false)),
        ("Mutex none mpm-accept", GateKind::Open),
        ("Mutex no mpm-accept", GateKind::Open),
        ("Mutex pthread mpm-accept", mutex(Mechanism::Pthread)),
        ("Mutex sysvsem mpm-accept", mutex(Mechanism::Sysvsem)),
        ("Mutex posixsem:/name mpm-accept", mutex(Mechanism::Posixsem)),
        ("Mutex sem mpm-accept", mutex(Mechanism::Posixsem)),
        ("Mutex yes mpm-accept", mutex(Mechanism::Default)),
        ("Mutex pthread mpm-accept\nMutex none mpm-accept", GateKind::Open),
        ("Mutex pthread mpm-accept\nAcceptSerialization Off", GateKind::Open),
        ("AcceptSerialization On", mutex(Mechanism::Default)),
        ("AcceptSerialization On\nMutex sysvsem", mutex(Mechanism::Sysvsem)),
        ("AcceptSerialization Exclusive", GateKind::Exclusive),
        ("Mutex pthread ssl-cache", GateKind::Exclusive),
        ("AcceptSerialization 4", counted(4, Mechanism::Default)),
        ("AcceptSerialization 4\nMutex pthread", counted(4, Mechanism::Default)),
        ("AcceptSerialization 4\nMutex posixsem mpm-accept", counted(4, Mechanism::Posixsem)),
    ] {
        assert_eq!(config(text).server.mpm.gate.kind, expected, "{text}");
    }
    check_error("Mutex semaphore mpm-accept", "Mutex: Invalid Mutex argument semaphore");
    check_error("Mutex pthread mpm-acept", "Mutex type mpm-acept is not valid");
    check_error("Mutex pthread Mpm-Accept", "Mutex type Mpm-Accept is not valid");
    check_error("Mutex none", "Mutex: None is not allowed for mutex type default");
    check_error(
        "AcceptSerialization 0",
        "AcceptSerialization: 0 is out of range, it must be from 1 to 32767",
    );
    check_error(
        "AcceptSerialization 32768",
        "AcceptSerialization: 32768 is out of range, it must be from 1 to 32767",
    );
    check_error(
        "Mutex none mpm-accept\nAcceptSerialization On",
        "On needs a mutex, and the Mutex line for mpm-accept says none",
    );
    check_error(
        "Mutex none mpm-accept\nAcceptSerialization 2",
        "a number needs a semaphore, and the Mutex line for mpm-accept says none",
    );
    check_error(
        "Mutex pthread mpm-accept\nAcceptSerialization 2",
        "this mechanism lets in one, and AcceptSerialization says how many: sysvsem, posixsem or \
         default can count",
    );
}

#[test]
fn listen_lines() {
    for (text, expected) in [
        ("Listen 8080", ListenAddress::Any(8080)),
        ("Listen *:8080", ListenAddress::Any(8080)),
        ("Listen 127.0.0.1:0", ListenAddress::Exact(local("127.0.0.1:0"))),
        ("Listen [::1]:8080", ListenAddress::Exact(local("[::1]:8080"))),
    ] {
        assert_eq!(config(text).server.mpm.listen[1].address, expected, "{text}");
    }
    assert_eq!(config("Listen 443").server.mpm.listen[1].protocol, "https");
    assert_eq!(config("Listen 444 HTTPS").server.mpm.listen[1].protocol, "https");
    check_error("Listen 80", "Listen: this address and port were given before, at -C:1");
    check_error("Listen 127.0.0.1", "Listen: Port must be specified");
    check_error("Listen [::1]", "Listen: Port must be specified");
    check_error("Listen 70000", "Listen: the port must be from 0 to 65535");
    assert_eq!(errors(""), ["no listening sockets available: there is no Listen line"]);
}

#[test]
fn listen_lines_for_socket_files() {
    let root = config("").server.root;
    let check = |text: &str, path: &str, rights: (u32, Option<u32>, Option<u32>)| {
        let found = config(text).server.mpm.listen[1].clone();
        assert_eq!(found.address, ListenAddress::Unix(root.join(path)), "{text}");
        assert_eq!((found.mode, found.owner, found.group), rights, "{text}");
    };
    check("Listen unix:/run/s", "/run/s", (0o660, None, None));
    check("Listen unix:logs/s mode=0600 owner=root group=#7", "logs/s", (0o600, Some(0), Some(7)));
    check("Listen \"unix:/run/a b\" https MODE=666", "/run/a b", (0o666, None, None));
    check_error("Listen unix:", "Listen: unix: needs the path of a socket file");
    check_error(
        "Listen unix:/s mode=0999",
        "Listen: a mode is an octal number up to 0777, such as 0660",
    );
    check_error(
        "Listen unix:/s owner=no-such-user",
        "bad user name no-such-user: this machine has no such user",
    );
    check_error("Listen unix:/s user=root", "Listen: not known here");
    check_error(
        "Listen unix:/s\nListen unix:/s",
        "Listen: this address and port were given before, at -C:2",
    );
    check_error("Listen 8080 http https", "Listen: one protocol is enough");
}

#[test]
fn connections_wait_for_data_as_their_protocol_says() {
    let check = |text: &str, expected: &[bool]| {
        let text = format!("Listen 443\nListen 81 smtp\n{text}");
        let listen = config(&text).server.mpm.listen;
        let waits: Vec<bool> = listen.iter().map(|line| line.wait_for_data).collect();
        assert_eq!(waits, expected, "{text}");
    };
    check("", &[true, true, false]);
    check("AcceptFilter http none", &[false, true, false]);
    check("AcceptFilter HTTPS none\nAcceptFilter smtp httpready", &[true, false, true]);
    check("AcceptFilter http none\nAcceptFilter http data", &[true, true, false]);
    check_error(
        "AcceptFilter http often",
        "AcceptFilter must be data, httpready, dataready or none",
    );
}

#[test]
fn buckets_and_buffers() {
    let check = |text: &str, expected: (u16, Option<usize>, Option<usize>)| {
        let mpm = config(text).server.mpm;
        assert_eq!((mpm.buckets, mpm.send_buffer, mpm.receive_buffer), expected, "{text}");
    };
    check("SendBufferSize 0", (1, None, None));
    check(
        "ListenBuckets 4\nSendBufferSize 65536\nReceiveBufferSize 512",
        (4, Some(65536), Some(512)),
    );
    check("ListenBuckets 2\nListenCoresBucketsRatio 1", (2, None, None));
    check("ListenCoresBucketsRatio 100000", (1, None, None));
    let started = config("ListenBuckets 7\nStartServers 1").server.mpm.geometry.start_servers;
    assert_eq!(started, 7, "each bucket has a child from the start");
    check_error("ListenBuckets 0", "ListenBuckets: 0 is out of range, it must be from 1 to 1024");
    check_error(
        "ListenCoresBucketsRatio 0",
        "ListenCoresBucketsRatio: 0 is out of range, it must be from 1 to 2147483647",
    );
    check_error(
        "SendBufferSize 511",
        "SendBufferSize: must be at least 512 bytes, or 0 for system default",
    );
}

#[test]
fn unknown_names_are_told_apart() {
    check_error("Dav On", "Dav is not supported yet");
    check_error("<Proxy *>\n</Proxy>", "<Proxy> is not supported yet");
    check_error(
        "DocumentRot /",
        "Invalid command 'DocumentRot', perhaps misspelled or defined by a module not included in \
         the server configuration",
    );
    let message = load("Listen 80\nDocumentRot /").unwrap_err();
    assert!(message.contains("did you mean DocumentRoot?"), "{message}");
    let message = load("Listen 80\n<Directry />\n</Directry>").unwrap_err();
    assert!(message.contains("did you mean <Directory>?"), "{message}");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = "Listen 80\nKeepAlive maybe\nDocumentRot /\n<Directory /a>\nOptions Indexs\n\
        Listen 81\n</Directory>\n";
    let expected = "\
-C:2:11: KeepAlive must be On or Off
    KeepAlive maybe
              ^^^^^   syntax: KeepAlive On|Off (server config, virtual host)
-C:3:1: Invalid command 'DocumentRot', perhaps misspelled or defined by a module not included in the server configuration
    DocumentRot /
    ^^^^^^^^^^^   did you mean DocumentRoot?
-C:5:9: Options: Illegal option Indexs
    Options Indexs
            ^^^^^^   did you mean Indexes?
-C:6:1: Listen cannot occur within directory context
    Listen 81
    ^^^^^^   belongs in: server config
";
    assert_eq!(load(text).unwrap_err(), expected);
}

#[test]
fn sections_stand_where_they_may() {
    check_error(
        "<Directory /a>\n<Directory /b>\n</Directory>\n</Directory>",
        "<Directory> cannot occur within <Directory> section",
    );
    check_error(
        "<Location /a>\n<Files b>\n</Files>\n</Location>",
        "<Files> cannot occur within <Location> section",
    );
    check_error(
        "<VirtualHost *:80>\n<VirtualHost *:81>\n</VirtualHost>\n</VirtualHost>",
        "<VirtualHost> cannot occur within <VirtualHost> section",
    );
    check_error("<Directory a b>\n</Directory>", "Multiple <Directory> arguments not supported.");
    check_error("<Location a>\n</Location>", "<Location> path must begin with a slash");
    check_error("<FilesMatch \"(\">\n</FilesMatch>", "Regex could not be compiled");
    check_error("ServerAlias a", "ServerAlias not allowed outside of a section");
    check_error(
        "<RequireAll>\nRequire all granted\n</RequireAll>",
        "<RequireAll> not allowed outside of a section",
    );
}

#[test]
fn options_lines_are_checked() {
    let mixed = "Options: Either all Options must start with + or -, or no Option may.";
    check_error("Options Indexes +FollowSymLinks", mixed);
    check_error("Options +Indexes FollowSymLinks", mixed);
    check_error("Options None Indexes", mixed);
    check_error("Options +All", "Options: All must be the first value and without a sign");
}

#[test]
fn what_is_not_supported_yet_says_so() {
    check_error("ErrorLog syslog", "ErrorLog: syslog is not supported yet");
    check_error("CustomLog \"|cat\" common", "CustomLog: piped logs are not supported yet");
    check_error("ContentDigest On", "ContentDigest: Content-MD5 is not supported");
    check_error(
        "<Directory />\nRequire ldap-user x\n</Directory>",
        "Require ldap-user is not supported yet",
    );
}

#[test]
fn a_log_may_have_a_condition_and_a_global_log_is_everybodys() {
    let host = |name: &str, lines: &str| {
        format!("<VirtualHost *:80>\nServerName {name}\n{lines}\n</VirtualHost>\n")
    };
    let config = config(&format!(
        "LogFormat %h short\nGlobalLog /dev/null short env=!quiet\nCustomLog /dev/null %U \"expr=%{{REQUEST_STATUS}} == 404\"\n{}{}",
        host("one", ""),
        host("two", "CustomLog /dev/null %m env=x\nCustomLog /dev/null %U")
    ));
    let logs: Vec<usize> = config.hosts.iter().map(|host| host.access_logs.len()).collect();
    assert_eq!(logs, [2, 2, 3]);
    check_error("CustomLog /dev/null %h x", "CustomLog: error in condition clause");
    check_error(
        "CustomLog /dev/null %h \"expr=%{REQUEST_STATUS\"",
        &errors("Listen 80\nCustomLog /dev/null %h \"expr=%{REQUEST_STATUS\"")[0],
    );
    check_error("CustomLog /dev/null %h env=", "CustomLog: missing environment variable name");
    check_error("GlobalLog /dev/null %z", "Unrecognized LogFormat directive %z");
    check_error(
        "<VirtualHost *:80>\nGlobalLog /dev/null %h\n</VirtualHost>",
        "GlobalLog cannot occur within <VirtualHost> section",
    );
}

#[test]
fn a_module_that_was_refused_counts_as_loaded() {
    let found = errors(
        "Listen 80\nLoadModule ssl_module x\n<IfModule mod_ssl.c>\nSSLEngine On\n</IfModule>\n\
         <IfModule proxy_module>\nProxyPass / http://a/\n</IfModule>",
    );
    assert_eq!(
        found,
        ["LoadModule: ssl_module is not supported yet", "SSLEngine is not supported yet"]
    );
}

#[test]
fn protocol_options_come_in_pairs() {
    check_error(
        "HttpProtocolOptions Strict Unsafe",
        "HttpProtocolOptions: 'Strict' and 'Unsafe' are mutually exclusive",
    );
    check_error(
        "HttpProtocolOptions Lax",
        "HttpProtocolOptions: \"Lax\" is not one of its options",
    );
}

#[test]
fn what_has_no_effect_is_checked_all_the_same() {
    config(
        "EnableExceptionHook On\nFlushMaxPipelined -1\nFlushMaxThreshold 0\nMergeTrailers On\nProtocols http/1.1\nProtocol http\n\
         ProtocolsHonorOrder Off\nReadBufferSize 8192\nRegexDefaultOptions +dotall\nRegisterHttpMethod A B\n\
         RLimitCPU 10 max\nRLimitMEM max\nRLimitNPROC 5 6\nLimitXMLRequestBody 0\nContentDigest Off\n\
         BufferedLogs On\nLogIOTrackTTFB On\n<Directory />\nCGIPassAuth On\nCGIVar REQUEST_URI original-uri\n</Directory>",
    );
    check_warning(
        "Protocols h2 http/1.1",
        "Protocols: HTTP/2 is not spoken; clients settle for HTTP/1.1",
    );
    check_error("RLimitCPU much", "RLimitCPU: \"much\" is not a number");
    check_error(
        "FlushMaxPipelined -2",
        "FlushMaxPipelined: -2 is out of range, it must be -1 or more",
    );
    check_error("RegexDefaultOptions +EXTENDED", "RegexDefaultOptions: option 'EXTENDED' unknown");
    check_warning(
        "NameVirtualHost *:80",
        "NameVirtualHost has no effect and will be removed in the next release",
    );
    check_warning(
        "LimitInternalRecursion 3",
        "LimitInternalRecursion: Limiting internal redirects to very low numbers may break normal requests.",
    );
}

#[test]
fn a_macro_makes_hosts() {
    let config = config(
        "<Macro Host $name>\n<VirtualHost *:80>\nServerName $name\n</VirtualHost>\n</Macro>\n\
         Use Host one.example\nUse Host two.example",
    );
    let names: Vec<&str> = config.hosts[1..].iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["one.example", "two.example"]);
}

#[test]
fn the_machine_is_asked() {
    check_warning("DocumentRoot /no/such/folder", "DocumentRoot [/no/such/folder] does not exist");
    check_error("DocumentRoot /dev/null", "DocumentRoot '/dev/null' is not a directory");
    check_error(
        "User no-such-user-here",
        "bad user name no-such-user-here: this machine has no such user",
    );
    let user = config("User nobody\nGroup #7").server;
    assert_eq!(user.user.map(|user| user.name).as_deref(), Some("nobody"));
    assert_eq!(user.group.map(|group| group.id), Some(7));
    let missing = errors("Listen 80\nTypesConfig /no/such/file");
    assert!(
        missing[0].starts_with("could not open mime types config file /no/such/file"),
        "{missing:?}"
    );
    check_error("Mutex fcntl:/no/such mpm-accept", "Invalid Mutex directory: /no/such");
}

#[test]
fn log_formats_are_compiled() {
    let text = "LogFormat \"%h %s\" short\nCustomLog /dev/null short\nCustomLog /dev/null \"%m\"";
    let logs = config(text).main().access_logs.len();
    assert_eq!(logs, 2);
    let wrong = errors("Listen 80\nLogFormat \"%Y\" wrong\nCustomLog /dev/null wrong");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
}

#[test]
fn virtual_hosts_inherit_what_they_do_not_say() {
    let text = "KeepAlive Off\nServerAdmin me@example.org\nOptions Indexes\n\
        AllowEncodedSlashes On\n\
        <VirtualHost *:80>\nServerName one.example\nServerAlias *.one.example\n\
        Options +MultiViews\nKeepAlive On\n\
        CustomLog /dev/null \"%h\"\n</VirtualHost>\n\
        <VirtualHost *:80>\nServerName two.example\n</VirtualHost>\n\
        CustomLog /dev/stderr \"%h\"\nTimeout 7";
    let config = config(text);
    let host = |name: &str| config.host_for(local("127.0.0.1:80"), Some(name.as_bytes()));
    let (index, one) = host("WWW.one.example:80");
    assert_eq!((index, one.name.as_str()), (1, "one.example"));
    assert!(one.settings.core.keep_alive());
    assert_eq!(one.settings.core.timeout().as_secs(), 7, "wherever the main server says it");
    assert_eq!(one.settings.core.admin(), "me@example.org");
    assert!(one.base().core.options().contains(Options::INDEXES));
    assert!(one.base().core.options().contains(Options::MULTI_VIEWS));
    assert_eq!(one.access_logs[0].path, Path::new("/dev/null"));
    assert_eq!(one.access_logs.len(), 1, "a log of its own replaces the main server's");
    assert_eq!(one.place.as_deref(), Some("-C:6"));

    let (index, two) = host("two.example");
    assert_eq!(index, 2);
    assert!(!two.settings.core.keep_alive());
    assert_eq!(two.access_logs[0].path, Path::new("/dev/stderr"));
    assert_eq!(
        two.settings.core.encoded_slashes(),
        Default::default(),
        "this one is not inherited"
    );
    assert_eq!(host("three.example").0, 1, "the first host of the address");
    assert_eq!(config.host_for(local("127.0.0.1:81"), None).0, 0, "the main server");
}

#[test]
fn sections_apply_in_apaches_order() {
    let root = "DocumentRoot /\n";
    let signature = |value| format!("AddDefaultCharset {value}\n");
    let section = |opening: &str, value| {
        let name = opening.split(' ').next().unwrap_or_default();
        format!("<{opening}>\n{}</{name}>\n", signature(value))
    };
    for (first, second, winner) in [
        // Written later, but less deep.
        ("Directory /a/b", "Directory /a", "first"),
        ("Directory /a/b", "Directory /a/*", "second"),
        ("Directory /a/b", "DirectoryMatch a", "second"),
        ("DirectoryMatch a", "Directory /a/b", "first"),
        ("Files f.txt", "Directory /a/b", "first"),
        ("Files f.*", "FilesMatch ^f", "second"),
        ("Location /a", "Files f.txt", "first"),
        // No sorting by length here.
        ("Location /a/b", "Location /a", "second"),
        ("Location /a", "LocationMatch /b/", "second"),
        ("Location ~ b", "Directory ~ b", "first"),
        // Not at all.
        ("Directory /a", "Directory /a/b/f", "first"),
        ("Directory /", "Directory /x/../a/./b/", "second"),
        ("Location /a", "Location /a/bb", "first"),
        ("Location /a", "Location /*/f.txt", "first"),
        ("Files f.txt", "Files b", "first"),
    ] {
        let text = format!("{root}{}{}", section(first, "first"), section(second, "second"));
        check_path(&text, "/a/b/f.txt", |settings| settings.core.default_charset() == Some(winner));
    }
}

#[test]
fn files_within_a_directory_hold_there_only() {
    let text = "DocumentRoot /\n<Directory /a>\n<Files *.txt>\n\
        Require all denied\n</Files>\n</Directory>\n";
    let client = Client {
        address: local("192.0.2.1:1").ip(),
        local: local("192.0.2.2:80").ip(),
        method: "GET",
    };
    check_path(text, "/a/b/f.txt", |settings| !settings.authz.grants(&client));
    check_path(text, "/a/b/f.html", |settings| settings.authz.grants(&client));
    check_path(text, "/b/f.txt", |settings| settings.authz.grants(&client));
}

#[test]
fn merged_settings_are_remembered() {
    let config = config("DocumentRoot /\n<Directory /a>\nOptions None\n</Directory>");
    let host = config.main();
    let mut cache = MergeCache::default();
    let one = host.settings_without_htaccess(b"/a/1", Some(Path::new("/a/1")), &mut cache);
    let two = host.settings_without_htaccess(b"/a/2", Some(Path::new("/a/2")), &mut cache);
    assert!(std::sync::Arc::ptr_eq(&one, &two));
    let other = host.settings_without_htaccess(b"/b", Some(Path::new("/b")), &mut cache);
    assert!(std::sync::Arc::ptr_eq(&other, host.base()));
}

#[test]
fn require_trees_judge() {
    let granted = |requires: &str, address: &str, expected: bool| {
        let text = format!("DocumentRoot /\n<Location />\n{requires}\n</Location>");
        let client = Client {
            address: address.parse().unwrap(),
            local: "192.0.2.2".parse().unwrap(),
            method: "GET",
        };
        check_path(&text, "/", |settings| settings.authz.grants(&client) == expected);
    };
    granted("Require all granted", "10.1.2.3", true);
    granted("Require all denied", "10.1.2.3", false);
    granted("Require ip 10.1", "10.1.2.3", true);
    granted("Require ip 10.1", "::ffff:10.1.2.3", true);
    granted("Require ip 10.1.0.0/255.255.0.0 192.0.2.1", "10.2.0.1", false);
    granted("Require ip 2001:db8::/32", "2001:db8::1", true);
    granted("Require local", "127.9.9.9", true);
    granted("Require local", "192.0.2.2", true);
    granted("Require local", "192.0.2.3", false);
    granted("Require method GET", "192.0.2.3", true);
    granted("Require ip 10.0.0.0/8\nRequire local", "127.0.0.1", true);
    let but_one = "<RequireAll>\nRequire ip 10\nRequire not ip 10.0.0.66\n</RequireAll>";
    granted(but_one, "10.0.0.1", true);
    granted(but_one, "10.0.0.66", false);
    granted(but_one, "11.0.0.1", false);
    let none = "<RequireAll>\nRequire all granted\n\
        <RequireNone>\nRequire ip 10\n</RequireNone>\n</RequireAll>";
    granted(none, "10.0.0.1", false);
    granted(none, "11.0.0.1", true);
    let limited = |limit: &str| {
        format!(
            "<RequireAll>\n<{limit}>\nRequire ip 11\n</Limit>\nRequire all granted\n</RequireAll>"
        )
    };
    granted(&limited("Limit GET"), "10.0.0.1", false);
    granted(&limited("Limit GET"), "11.0.0.1", true);
    granted(&limited("Limit POST"), "10.0.0.1", true);
}

#[test]
fn require_trees_that_make_no_sense_are_errors() {
    let within = |text: &str| format!("<Location />\n{text}\n</Location>");
    check_error(
        &within("Require not ip 10"),
        "negative Require directive has no effect in <RequireAny> directive",
    );
    check_error(
        &within("<Limit POST>\nRequire not ip 10\n</Limit>"),
        "negative Require directive has no effect in <RequireAny> directive",
    );
    check_error(&within("Deny from 10.1.2.300"), "Deny: The specified IP address is invalid.");
    check_error(&within("Deny from 10/33"), "Deny: An IP address was expected");
    check_error(&within("Order allow"), "Order: unknown order");
    check_error(&within("Allow all"), "Allow: allow and deny must be followed by 'from'");
    check_error(&within("AuthType Digest"), "AuthType Digest is not supported");
    check_error(
        &within("AuthBasicProvider ldap"),
        "AuthBasicProvider: the Authn provider ldap is not supported",
    );
    check_error(
        &within("AuthBasicUseDigestAlgorithm MD5"),
        "AuthBasicUseDigestAlgorithm: passwords for digest authentication are not supported",
    );
    check_error(&within("AllowMethods FOO"), "AllowMethods: Invalid Method 'FOO'");
    check_error(
        &within("<RequireAll>\nRequire not ip 10\n</RequireAll>"),
        "<RequireAll> directive contains only negative authorization directives",
    );
    check_error(
        &within("<RequireAll>\n</RequireAll>"),
        "<RequireAll> directive contains no authorization directives",
    );
    check_error(&within("Require ip 10.300"), "Require: ip address '10.300' appears to be invalid");
    check_error(
        &within("Require all grantd"),
        "Require: Argument for 'Require all' must be 'granted' or 'denied'",
    );
    check_error(&within("Require evrybody"), "Require: Unknown Authz provider: evrybody");
    check_error(
        &within("<RequireAll>\nOptions None\nRequire all granted\n</RequireAll>"),
        "Options not allowed in <RequireAll> context",
    );
}

#[test]
fn a_deeper_require_replaces_the_outer_one() {
    let text = "DocumentRoot /\n<Directory />\nRequire all denied\n</Directory>\n\
        <Directory /a>\nRequire all granted\n</Directory>";
    let client = Client {
        address: local("192.0.2.1:1").ip(),
        local: local("192.0.2.2:80").ip(),
        method: "GET",
    };
    check_path(text, "/a/f", |settings| settings.authz.grants(&client));
    check_path(text, "/b/f", |settings| !settings.authz.grants(&client));
}

#[test]
fn names_say_what_files_are() {
    let text = "DocumentRoot /\nAddType text/x-outer .foo .bar\nAddEncoding gzip packed\n\
        AddLanguage fr .fr\n\
        AddLanguage en .en\nAddCharset utf-8 .utf8\nAddDefaultCharset utf-8\n\
        <Directory /a>\nAddType text/x-inner foo\nRemoveType bar html\n</Directory>\n\
        <Directory /forced>\nForceType image/gif\n</Directory>";
    let config = config(text);
    let describe = |path: &str| {
        let mut cache = MergeCache::default();
        let settings = config.main().settings_without_htaccess(
            path.as_bytes(),
            Some(Path::new(path)),
            &mut cache,
        );
        let name = path.rsplit('/').next().unwrap_or_default();
        let media = mime::describe(&settings, &config.server.types, name.as_bytes());
        let content_type = media.content_type.map(|it| it.into_owned()).unwrap_or_default();
        [content_type, media.encodings.join(","), media.languages.join(",")].join("|")
    };
    for (path, expected) in [
        ("/x.html", "text/html; charset=utf-8||"),
        ("/x.HTML.packed", "text/html; charset=utf-8|gzip|"),
        ("/x.css", "text/css||"),
        ("/x.en.fr.html", "text/html; charset=utf-8||en,fr"),
        ("/x.txt.unknown", "text/plain; charset=utf-8||"),
        ("/x.unknown", "||"),
        ("/x", "||"),
        ("/.html", "||"),
        ("/..foo.bar", "text/x-outer||"),
        ("/x.foo", "text/x-outer||"),
        ("/a/x.foo", "text/x-inner||"),
        ("/a/x.bar", "||"),
        ("/a/x.html", "||"),
        ("/x.css.utf8", "text/css; charset=utf-8||"),
        ("/forced/x.html", "image/gif||"),
    ] {
        assert_eq!(describe(path), expected, "{path}");
    }
}

#[test]
fn a_folder_is_served_by_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("odd \"name\" [a]* ${HOME} \\");
    fs::create_dir(&odd).unwrap();
    let options = FolderOptions { spa: true, model: Model::Worker, ..FolderOptions::default() };
    let loaded = Config::for_folder(&odd, &[local("127.0.0.1:0"), local("[::1]:8080")], &options);
    let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(loaded.warnings.to_string(), "");
    let config = loaded.config;
    assert_eq!(config.server.mpm.geometry.model, Model::Worker);
    assert_eq!(config.server.mpm.listen.len(), 2);
    let host = config.main();
    assert_eq!(host.settings.core.document_root(), Some(&*odd));
    let file = odd.join("a.html");
    let settings =
        host.settings_without_htaccess(b"/a.html", Some(&file), &mut MergeCache::default());
    assert_eq!(settings.dir.fallback(), Some("/index.html"));
    assert_eq!(settings.core.options(), {
        let text = "Options Indexes SymLinksBeneath";
        super::tests::config(text).main().base().core.options()
    });
    let client = Client {
        address: local("127.0.0.1:1").ip(),
        local: local("127.0.0.1:1").ip(),
        method: "GET",
    };
    assert!(settings.authz.grants(&client));
}

#[test]
fn the_shipped_configuration_has_nothing_to_complain_about() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source =
        Source { root: root.into(), file: Some("conf/httpd.conf".into()), ..Source::default() };
    let loaded = Config::load(&source).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(loaded.warnings.to_string(), "");
}

/// Debian's files, enabled or not: whatever is wrong with them is only that we are young. The
/// folder is /etc/apache2 or what `HERDGATE_APACHE_CONF` names; without either the test is skipped,
/// unless `HERDGATE_REQUIRE_PEERS` is 1.
#[test]
fn debians_configuration_is_refused_for_nothing_but_what_is_not_supported_yet() {
    let folder = std::env::var_os("HERDGATE_APACHE_CONF")
        .map_or("/etc/apache2".into(), std::path::PathBuf::from);
    if !folder.join("apache2.conf").is_file() {
        let required = std::env::var("HERDGATE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "no Debian configuration here, and HERDGATE_REQUIRE_PEERS=1");
        eprintln!("skipped: no apache2.conf in {}", folder.display());
        return;
    }
    let define = |name: &str, value: &str| (name.to_string(), Some(value.to_string()));
    let source = Source {
        root: folder.clone(),
        file: Some("apache2.conf".into()),
        defines: vec![
            define("APACHE_RUN_USER", "nobody"),
            define("APACHE_RUN_GROUP", "root"),
            define("APACHE_PID_FILE", "/run/apache2.pid"),
            define("APACHE_RUN_DIR", "/run"),
            define("APACHE_LOCK_DIR", "/tmp"),
            define("APACHE_LOG_DIR", "/tmp"),
        ],
        before: vec![],
        after: ["mods-available/*.conf", "conf-available/*.conf", "sites-available/*.conf"]
            .map(|files| format!("IncludeOptional {files}"))
            .to_vec(),
    };
    let found = match Config::load(&source) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    eprintln!("{found}");
    let others: Vec<_> = found
        .list
        .iter()
        .filter(|each| !each.message.contains("not supported yet") && each.is_error())
        .map(|each| each.render(&found.sources))
        .collect();
    assert!(others.is_empty(), "{}", others.concat());
}

/// Where a directive may stand: S server, V virtual host, D section, H `.htaccess`.
fn letters(row: &herdgate_conf::Description) -> String {
    let letter = |context: &herdgate_conf::Context| match context {
        herdgate_conf::Context::Server => 'S',
        herdgate_conf::Context::VirtualHost => 'V',
        herdgate_conf::Context::Directory => 'D',
        herdgate_conf::Context::Htaccess => 'H',
    };
    row.contexts.iter().map(letter).collect()
}

/// Apache's directives for processes, threads, listeners, connections and requests' heads, with their default (`-`:
/// none, or one for each model) and where they may stand.
const APACHE: &str = "
    StartServers - S|MinSpareServers 5 S|MaxSpareServers 10 S|MinSpareThreads 75 S|MaxSpareThreads 250 S
    ThreadsPerChild 25 S|ThreadLimit 64 S|ServerLimit - S|MaxRequestWorkers - S|MaxClients - S
    MaxConnectionsPerChild 0 S|MaxRequestsPerChild - S|AsyncRequestWorkerFactor 2 S
    GracefulShutdownTimeout 0 S|MaxMemFree 2048 S|ThreadStackSize - S|ScoreBoardFile - S
    ExtendedStatus On S|SeeRequestTail Off S|CoreDumpDirectory - S|User - S|Group - S
    Listen - S|ListenBacklog 511 S|ListenCoresBucketsRatio - S|SendBufferSize 0 S|ReceiveBufferSize 0 S
    AcceptFilter - S|Mutex default S|Timeout 60 SV|KeepAlive On SV|KeepAliveTimeout 5 SV
    MaxKeepAliveRequests 100 SV|LimitRequestLine 8190 SV|LimitRequestFieldSize 8190 SV
    LimitRequestFields 100 SV|LimitRequestBody 1073741824 SVDH|TraceEnable on SV|MergeSlashes On SV";

#[test]
fn apaches_directives_are_there_with_its_defaults_and_contexts() {
    for entry in APACHE.split(['|', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let [name, default, contexts] = entry.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{entry}");
        };
        let row = crate::modules::Row::named(name).unwrap_or_else(|| panic!("{name}")).describe();
        let present = row.default.unwrap_or("-");
        assert!(present.eq_ignore_ascii_case(default), "{name}: {present}, and not {default}");
        assert_eq!(letters(&row), contexts, "{name}");
    }
}

#[test]
fn what_apache_has_beyond_them_is_said_to_be_missing() {
    for name in [
        "EnableExceptionHook",
        "ChrootDir",
        "Protocol",
        "FlushMaxThreshold",
        "FlushMaxPipelined",
        "ReadBufferSize",
        "LimitXMLRequestBody",
        "LimitInternalRecursion",
        "HttpProtocolOptions",
        "RegisterHttpMethod",
        "MergeTrailers",
        "StrictHostCheck",
        "Protocols",
        "ProtocolsHonorOrder",
    ] {
        let is_known = crate::modules::Row::named(name).is_some();
        assert!(is_known || super::apache::module_of(name).is_some(), "{name}");
    }
}
