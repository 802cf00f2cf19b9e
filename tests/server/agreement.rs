//! `herdgate -t` takes what `apache2 -t` takes, and refuses what it refuses: the language itself and core's directives.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::command::run;
use crate::support::skipped;

const APACHE: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";

/// What Apache must load to know as much as we do without.
const LOADED: [&str; 11] = [
    "mpm_event",
    "macro",
    "authz_core",
    "authz_host",
    "dir",
    "alias",
    "mime",
    "setenvif",
    "env",
    "autoindex",
    "status",
];

/// Configurations, one a line; `; ` stands for a line's end.
///
/// What differs on purpose is not among them: Apache takes `Timeout x`, since it reads numbers by atoi(3), arguments that
/// are missing or too many, and sections that begin in a macro and end outside; it refuses a DocumentRoot that is not
/// there, and levels of log for modules that nobody has.
const CONFIGURATIONS: &str = r#"
    Include d
    Include d/
    Include d/*.conf
    Include d/*.nope
    IncludeOptional d/*.nope
    Include nope.conf
    IncludeOptional nope.conf
    IncludeOptional nope/*.conf
    Include nope/*.conf
    Include d/sub/*
    Include "d/a.conf"
    Include d/a.conf d/sub/b.conf
    Include
    Include d/.*.conf
    Include d/[a-b].conf
    Include d/?.conf
    <Directory />; Include sec.conf
    <Directory />; Include d/a.conf; </Directory>
    Define X
    Define X y
    Define X "y z"
    Define X y z
    Define
    Define a:b c
    UnDefine X
    UnDefine a:b
    UnDefine
    <Directory />; Define X 1; UnDefine X; </Directory>
    <IfDefine X>; </IfDefine>
    <IfDefine>; </IfDefine>
    <IfDefine !>; </IfDefine>
    <IfDefine "X">; </IfDefine>
    <IfModule "mod_dir.c">; </IfModule>
    <IfModule !mod_dir.c>; Bogus; </IfModule>
    <IfModule dir_module>; Bogus; </IfModule>
    <IfModule core.c>; Bogus; </IfModule>
    <IfModule http_core.c>; Bogus; </IfModule>
    <IfModule core_module>; Bogus; </IfModule>
    <IfModule mod_so.c>; Bogus; </IfModule>
    <IfModule so_module>; Bogus; </IfModule>
    <IfModule unixd_module>; Bogus; </IfModule>
    <IfModule http_module>; Bogus; </IfModule>
    <IfModule event.c>; Bogus; </IfModule>
    <IfModule mpm_event_module>; Bogus; </IfModule>
    <IfModule mod_mpm_event.c>; Bogus; </IfModule>
    <IfModule mod_log_config.c>; Bogus; </IfModule>
    <IfModule mod_logio.c>; Bogus; </IfModule>
    <IfModule mod_version.c>; Bogus; </IfModule>
    <IfModule MOD_DIR.C>; Bogus; </IfModule>
    <IfFile d/a.conf>; Bogus; </IfFile>
    <IfFile nope>; Bogus; </IfFile>
    <IfFile d>; Bogus; </IfFile>
    <IfFile "d/a.conf">; Bogus; </IfFile>
    <IfDirective Listen>; Bogus; </IfDirective>
    <IfDirective listen>; Bogus; </IfDirective>
    <IfDirective Nope>; Bogus; </IfDirective>
    <IfDirective Define>; Bogus; </IfDirective>
    <IfSection VirtualHost>; Bogus; </IfSection>
    <IfSection virtualhost>; Bogus; </IfSection>
    <IfSection IfModule>; Bogus; </IfSection>
    <IfSection Macro>; Bogus; </IfSection>
    <IfSection Nope>; Bogus; </IfSection>
    <IfVersion >= 2.4>; Bogus; </IfVersion>
    <IfVersion 2.4>; Bogus; </IfVersion>
    <IfVersion = /^2.4/>; Bogus; </IfVersion>
    <IfVersion ~ ^2>; Bogus; </IfVersion>
    <IfVersion !< 2.4>; Bogus; </IfVersion>
    <IfVersion >= 2.4.0.0>; </IfVersion>
    <IfVersion < x>; </IfVersion>
    <IfVersion ?? 2>; </IfVersion>
    Error x
    Error "x y"
    Error
    LoadModule
    LoadModule a
    ServerRoot /nope
    ServerRoot ""
    ServerRoot
    DefaultRuntimeDir x
    <Macro>; </Macro>
    <Macro a; </Macro>
    <Directory />; <Macro a>; Options None; </Macro>; Use a; </Directory>
    Use
    UndefMacro
    Use a b c
    <Macro a $x>; ServerAdmin x$x; </Macro>; Use a ""
    <macro A>; bogus; </macro>
    <Macro a>; bogus; </Macro>; use A
    ServerAlias a
    <VirtualHost *:1>; ServerPath /x; ServerName a; </VirtualHost>
    ServerPath /x
    LimitInternalRecursion 0
    LimitInternalRecursion 5 0
    LimitInternalRecursion x
    LimitInternalRecursion
    LimitInternalRecursion 3
    MaxRanges 0
    MaxRanges none
    MaxRanges -1
    MaxRanges x
    <Directory />; MaxRanges 5; </Directory>
    MaxRangeOverlaps none
    MaxRangeReversals unlimited
    QualifyRedirectURL On
    <Directory />; QualifyRedirectURL On; </Directory>
    HttpProtocolOptions Strict Unsafe
    HttpProtocolOptions Unsafe
    HttpProtocolOptions
    HttpProtocolOptions x
    HttpProtocolOptions Strict LenientMethods Allow0.9
    HttpProtocolOptions Strict LenientMethods Allow0.9 Require1.0
    Protocols h2 http/1.1
    Protocols
    ProtocolsHonorOrder x
    MergeTrailers x
    StrictHostCheck x
    StrictHostCheck On
    FlushMaxPipelined -2
    FlushMaxPipelined -1
    FlushMaxPipelined x
    FlushMaxThreshold -1
    FlushMaxThreshold x
    ReadBufferSize -1
    ReadBufferSize x
    RLimitCPU max
    RLimitCPU 10 20
    RLimitCPU 10 20 30
    RLimitMEM
    RLimitNPROC 20 10
    LimitXMLRequestBody -1
    LimitXMLRequestBody 0
    ContentDigest Off
    CGIPassAuth On
    <Directory />; CGIPassAuth On; CGIVar REQUEST_URI original-uri; </Directory>
    <Directory />; CGIVar X original-uri; </Directory>
    <Directory />; CGIMapExtension a .b; </Directory>
    RegisterHttpMethod A B
    RegisterHttpMethod
    RegexDefaultOptions +DOTALL
    RegexDefaultOptions x
    NameVirtualHost *
    EnableExceptionHook x
    Protocol x
    <VirtualHost *:1>; Protocol http; </VirtualHost>
    CustomLog e2 %h env=x
    CustomLog e2 %h env=!x
    CustomLog e2 %h env=
    CustomLog e2 %h expr=true
    CustomLog e2 %h expr=
    CustomLog e2 %h x
    CustomLog e2
    CustomLog e2 %h env=x y
    GlobalLog e2 %h
    GlobalLog e2
    <VirtualHost *:1>; GlobalLog e2 %h; </VirtualHost>
    BufferedLogs On
    BufferedLogs x
    CookieLog e2
    TransferLog e2 %h
    LogFormat %h
    LogFormat %h a b
    LogFormat
    LogIOTrackTTFB On
    LogFormat "%{x}n %{x}e %^FB %{x}^ti"
    AllowOverride All
    <Directory />; AllowOverride x; </Directory>
    <Files x>; AllowOverride All; </Files>
    <Location />; AllowOverride None; </Location>
    <Directory ~ x>; AllowOverride All; </Directory>
    <Directory />; AllowOverrideList x; </Directory>
    <Location />; <Directory />; </Directory>; </Location>
    <Directory />; <Location />; </Location>; </Directory>
    <Location />; <Files y>; </Files>; </Location>
    <Limit GET>; <Files x>; </Files>; </Limit>
    <Directory />; <Limit TRACE>; </Limit>; </Directory>
    <Limit GET>; </Limit>
    <Directory />; <Limit>; </Limit>; </Directory>
    <VirtualHost>; </VirtualHost>
    <VirtualHost *:1 *:2>; </VirtualHost>
    <VirtualHost *:1>; <VirtualHost *:1>; </VirtualHost>; </VirtualHost>
    <Else>; </Else>
    <If "true">; </If>; <ElseIf "true">; </ElseIf>; <Else>; </Else>
    <If>; </If>
    <If "bogus(">; </If>
    <Directory />; <If "true">; <If "true">; </If>; </If>; </Directory>
    UseCanonicalName x
    AddDefaultCharset
    ServerTokens x
    ServerSignature x
    ErrorDocument 999 x
    ErrorDocument 404
    ErrorDocument 404 a b
    FileETag None MTime
    FileETag x
    Options x
    Options +All
    AcceptPathInfo x
    SetHandler
    SetHandler x
    <Directory />; SetHandler x; </Directory>
    ForceType a/b
    <Directory />; ForceType a/b; </Directory>
    TraceEnable x
    KeepAliveTimeout x
    KeepAliveTimeout -1
    KeepAliveTimeout 5ms
    KeepAliveTimeout 5x
    Timeout 5ms
    LimitRequestLine -1
    LimitRequestBody x
    LimitRequestBody -1
    ServerAdmin
    ServerName
    ServerName a b
    ServerName *.x
    ServerName x:99999
    ServerName http://x:80
    ServerAdmin a b
    DocumentRoot /etc/passwd
    AccessFileName a b c
    AllowEncodedSlashes x
    LogLevel x
    LogLevel info dir:debug
    LogLevel dir:x
"#;

#[test]
fn both_checks_say_the_same() {
    if !Path::new(APACHE).exists() {
        return skipped("no apache2");
    }
    let root = tempfile::tempdir().unwrap();
    for folder in ["d/sub", "empty", "logs"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    for (name, text) in [
        ("d/a.conf", "Define A1 one\n"),
        ("d/.hidden.conf", "Bogus\n"),
        ("d/sub/b.conf", "Define B1 two\n"),
        ("sec.conf", "</Directory>\n"),
    ] {
        fs::write(root.path().join(name), text).unwrap();
    }
    let path = root.path().display();
    let common = format!(
        "ServerRoot {path}\nPidFile {path}/pid\nServerName localhost\nErrorLog {path}/log\nListen 127.0.0.1:8099\n"
    );
    let modules: String = LOADED
        .iter()
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .collect();
    let (ours, theirs) = (root.path().join("ours.conf"), root.path().join("theirs.conf"));
    let mut differences = Vec::new();
    let configurations = CONFIGURATIONS.lines().map(str::trim).filter(|line| !line.is_empty());
    for configuration in configurations {
        let lines = configuration.replace("; ", "\n");
        fs::write(&ours, format!("{common}{lines}\n")).unwrap();
        fs::write(&theirs, format!("{common}{modules}{lines}\n")).unwrap();
        let apache = Command::new(APACHE)
            .args(["-t", "-f"])
            .arg(&theirs)
            .current_dir(root.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let herdgate = run(["-t", "-f", ours.to_str().unwrap()]);
        if apache.status.code() != herdgate.code {
            let said = String::from_utf8_lossy(&apache.stderr).into_owned();
            differences
                .push(format!("{configuration}\napache2: {said}herdgate: {}", herdgate.stderr));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
