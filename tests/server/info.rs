//! `SetHandler server-info` and what it tells.

use crate::on_every_mpm;

const CONF: &str = "<Location /server-info>\nSetHandler server-info\nRequire local\n</Location>\n\
                    AddModuleInfo mod_dir.c \"see <b>here</b>\"\n\
                    <AuthzProviderAlias ip office 192.0.2.1>\n</AuthzProviderAlias>\n\
                    <Directory \"ROOT/<odd>\">\nOptions None\n</Directory>";

on_every_mpm!(
    the_page_tells_modules_settings_and_configuration,
    |site| site.conf(CONF),
    |server| {
        let all = server.get("/server-info");
        assert_eq!(
            (all.status, all.field("Content-Type")),
            (200, Some("text/html; charset=UTF-8"))
        );
        let all = all.text();
        let model = format!("<strong>MPM Name:</strong> <tt>{}</tt>", server.model());
        for part in [
            "<a href=\"#mod_dir.c\">mod_dir.c</a>",
            &model,
            "<dd><tt>DirectoryIndex - <i>",
            "see <b>here</b>",
        ] {
            assert!(all.contains(part), "no {part} in {all}");
        }
        let config = server.get("/server-info?config").text();
        let path = server.path("httpd.conf");
        assert!(config.contains(&format!("In file: {}", path.display())), "{config}");
        assert!(config.contains("&lt;Location /server-info&gt;"), "{config}");
        assert!(config.contains("&nbsp;&nbsp;SetHandler <i>server-info</i>"), "{config}");
        assert!(config.contains("&lt;odd&gt;") && !config.contains("<odd>"), "{config}");
        assert!(server.get("/server-info?list").text().contains("<dd>mod_info.c</dd>"));
        assert!(server.get("/server-info?server").text().contains("Server Root"));
        let module = server.get("/server-info?mod_info.c").text();
        assert!(module.contains("AddModuleInfo") && !module.contains("DirectoryIndex"), "{module}");
        let providers = server.get("/server-info?providers").text();
        for name in ["file", "valid-user", "office"] {
            assert!(providers.contains(&format!("<tt>&nbsp;&nbsp;{name}</tt>")), "{providers}");
        }
        let nothing = server.get("/server-info?<nothing>").text();
        assert!(!nothing.contains("nothing") && !nothing.contains("Module Name"), "{nothing}");
        assert_eq!(
            server.client().request("POST", "/server-info", &["Content-Length: 0"]).status,
            404
        );
    }
);
