//! What the language means, line by line.

mod stage;

use herdgate_conf::{Input, Start, read, read_htaccess};
use stage::{ROOT, Stage, complaints, outline, read_files, read_text};

/// The outline of the tree; nothing may be complained of.
#[track_caller]
fn check(text: &str, expected: &str) {
    let reading = read_text(text);
    assert_eq!(complaints(&reading), Vec::<String>::new(), "{text}");
    assert_eq!(outline(&reading.tree), expected, "{text}");
}

/// The outline of the tree and the complaints, without the file's name.
#[track_caller]
fn check_wrong(text: &str, expected: &str, expected_complaints: &[&str]) {
    let reading = read_text(text);
    let complaints = complaints(&reading);
    let complaints: Vec<&str> = complaints
        .iter()
        .map(|line| line.strip_prefix("/srv/httpd.conf:").unwrap_or(line))
        .collect();
    assert_eq!(complaints, expected_complaints, "{text}");
    assert_eq!(outline(&reading.tree), expected, "{text}");
}

/// As [`check`], for several files.
#[track_caller]
fn check_files(files: &[(&str, &str)], expected: &str, expected_complaints: &[&str]) {
    let reading = read_files(files);
    assert_eq!(complaints(&reading), expected_complaints, "{files:?}");
    assert_eq!(outline(&reading.tree), expected, "{files:?}");
}

#[test]
fn directives_have_names_and_words() {
    check("Listen 80\n  # comment\nlisten \"a b\" c\n", "Listen(80) listen(a b|c)");
    check("A \\\n  b \\\n  c\nD", "A(b|c) D()");
    check("A b # c", "A(b|#|c)");
    check("\"Listen\" 80", "Listen(80)");
}

#[test]
fn sections_nest() {
    check(
        "<VirtualHost *:80>\n<Directory \"/a b\">\nX 1\n</directory>\n</VirtualHost>\nY",
        "VirtualHost(*:80){Directory(/a b){X(1)}} Y()",
    );
    check("<If \"%{X} > 3\">\n</If>\n<Else>\n</Else>", "If(%{X} > 3){} Else(){}");
    check("<Files ~ \"^\\.ht\">\n</Files>", "Files(~|^\\.ht){}");
    check("<A x >\n</A>", "A(x){}");
}

#[test]
fn nesting_mistakes_are_all_reported_and_repaired() {
    check_wrong("X\n</A>\nY", "X() Y()", &["2:1: </A> without matching <A> section"]);
    check_wrong("<A 1>\nX\n", "A(1){X()}", &["1:1: <A> was not closed"]);
    check_wrong(
        "<A 1>\n<B 2>\nX\n</A>\nY",
        "A(1){B(2){X()}} Y()",
        &["4:1: Expected </B> but saw </A>"],
    );
    check_wrong(
        "<A 1>\n</B>\nX\n</A>\n</C>",
        "A(1){X()}",
        &["2:1: Expected </A> but saw </B>", "5:1: </C> without matching <C> section"],
    );
}

#[test]
fn tags_must_be_closed_and_stand_alone() {
    check_wrong("<A 1\n</A>", "A(1){}", &["1:4: <A> directive missing closing '>'"]);
    check_wrong("<A 1>\n</A", "A(1){}", &["2:3: </A> directive missing closing '>'"]);
    check_wrong(
        "<A 1> # why\n</A> x",
        "A(1){}",
        &[
            "1:7: warning: what follows <A> on its line is ignored",
            "2:6: warning: what follows </A> on its line is ignored",
        ],
    );
    check_wrong("<>\n</>", "", &["1:1: a section needs a name", "2:1: a section needs a name"]);
}

#[test]
fn odd_bytes_are_said() {
    check_wrong(
        "A \"b c",
        "A(b c)",
        &["1:3: warning: this quote is never closed; the word ends with the line"],
    );
    check_wrong("A b\0c\nD", "A(b) D()", &["1:4: warning: a NUL byte ends this line"]);
    check_wrong("\"\" x", "", &["1:1: a directive needs a name"]);
    check("\u{feff}A b\r\nC d\r\n", "A(b) C(d)");
}

#[test]
fn variables_come_from_define_then_from_the_environment() {
    check("Define a 1\nX ${a} ${FROM_ENVIRONMENT}${a}", "X(1|outside1)");
    check("Define FROM_ENVIRONMENT inside\nX ${FROM_ENVIRONMENT}", "X(inside)");
    check("Define a \"1 2\"\nX ${a} \"${a}\"\n${a}", "X(1|2|1 2) 1(2)");
    check("Define a ${FROM_ENVIRONMENT}\nX ${a}", "X(outside)");
    check("<VirtualHost *>\nDefine a 1\n</VirtualHost>\nX ${a}", "VirtualHost(*){} X(1)");
    check("X ${map:name} $a ${open", "X(${map:name}|$a|${open)");
    check("Define a 1\nDefine a\nX ${a}", "X(1)");
    check("Define s Directory\n<${s} /a>\n</${s}>", "Directory(/a){}");
}

#[test]
fn an_unknown_variable_stays_and_is_reported() {
    let warning = "1:5: warning: Config variable ${nope} is not defined";
    check_wrong("X a ${nope}b", "X(a|${nope}b)", &[warning]);
    check_wrong(
        "X a ${COMMAND_LINE}",
        "X(a|${COMMAND_LINE})",
        &["1:5: warning: Config variable ${COMMAND_LINE} is not defined"],
    );
    check_wrong(
        "Define a 1\nUnDefine a\nX ${a}",
        "X(${a})",
        &["3:3: warning: Config variable ${a} is not defined"],
    );
    check("<IfDefine nope>\nX ${nope}\n</IfDefine>", "");
}

#[test]
fn define_takes_a_name_and_perhaps_a_value() {
    check_wrong("Define a:b 1", "", &["1:8: Define: a name cannot contain ':'"]);
    check_wrong("Define", "", &["1:1: Define takes 1-2 arguments"]);
    check_wrong("Define a b c", "", &["1:12: Define takes 1-2 arguments"]);
}

#[test]
fn values_that_double_are_bounded() {
    let mut text = String::from("Define a 12345678\n");
    for _ in 0..40 {
        text += "Define a ${a}${a}\n";
    }
    let reading = read_text(&text);
    assert!(complaints(&reading)[0].contains("Line too long"));
}

#[test]
fn conditions_are_decided_while_reading() {
    let holds = |condition: &str, name: &str| {
        let reading = read_text(&format!("<{name} {condition}>\nX\n</{name}>"));
        assert_eq!(complaints(&reading), Vec::<String>::new(), "{name} {condition}");
        outline(&reading.tree) == "X()"
    };
    assert!(holds("COMMAND_LINE", "IfDefine"));
    assert!(!holds("!COMMAND_LINE", "IfDefine"));
    assert!(!holds("OTHER", "IfDefine"));
    assert!(holds("mod_core.c", "ifmodule"));
    assert!(!holds("mod_other.c", "IfModule"));
    assert!(holds("listen", "IfDirective"));
    assert!(holds("!Lisen", "IfDirective"));
    assert!(holds("Directory", "IfSection"));
    assert!(holds("httpd.conf", "IfFile"));
    assert!(holds("\"/srv/httpd.conf\"", "IfFile"));
    assert!(holds("!absent", "IfFile"));
    for (version, expected) in [
        ("2.4.63", true),
        ("2.4", false),
        (">= 2.4", true),
        ("> 2.4.63", false),
        ("<= 2.4.63", true),
        ("< 2.5", true),
        ("!< 2.5", false),
        ("= 2.4.63", true),
        ("== 2.4.62", false),
        ("!= 2.4.62", true),
        ("~ ^2\\.4\\.", true),
        ("= /^2\\.[02]/", false),
    ] {
        assert_eq!(holds(version, "IfVersion"), expected, "{version}");
    }
}

#[test]
fn conditions_nest_and_are_balanced_even_when_passed_over() {
    check(
        "<IfDefine COMMAND_LINE>\n<A 1>\n<IfDefine NOPE>\n<A 2>\n</A>\nX\n</IfDefine>\nY\n</A>\n\
         </IfDefine>\nZ",
        "A(1){Y()} Z()",
    );
    check_wrong(
        "<IfDefine NOPE>\n<A 2>\n</IfDefine>\nZ",
        "Z()",
        &["3:1: Expected </A> but saw </IfDefine>"],
    );
    check_wrong("<IfDefine NOPE>\nZ", "", &["1:1: <IfDefine> was not closed"]);
}

#[test]
fn wrong_conditions_are_reported_and_do_not_hold() {
    check_wrong("<IfDefine>\nX\n</IfDefine>", "", &["1:2: <IfDefine> takes one argument"]);
    check_wrong(
        "<IfDefine !>\nX\n</IfDefine>",
        "",
        &["1:11: <IfDefine>: there is nothing to test"],
    );
    check_wrong(
        "<IfVersion => 2>\n</IfVersion>",
        "",
        &["1:12: <IfVersion>: \"=>\" is not an operator"],
    );
    check_wrong(
        "<IfVersion two>\n</IfVersion>",
        "",
        &["1:12: <IfVersion>: \"two\" is not a version"],
    );
    check_wrong(
        "<IfVersion ~ (>\n</IfVersion>",
        "",
        &["1:14: <IfVersion>: not a regular expression: error: unclosed group"],
    );
}

#[test]
fn load_module_acts_at_once() {
    check("LoadModule a_module a.so\n<IfModule a_module>\nX\n</IfModule>", "X()");
    check("<IfModule a_module>\nX\n</IfModule>\nLoadModule a_module a.so", "");
    check_wrong(
        "LoadModule a_module a.so\nLoadModule a_module a.so",
        "",
        &["2:12: warning: module a_module is already loaded, skipping"],
    );
    check_wrong(
        "LoadModule absent_module a.so",
        "",
        &["1:12: LoadModule: there is no module absent_module"],
    );
    check_wrong(
        "<Directory />\nLoadModule a_module a.so\n</Directory>",
        "Directory(/){}",
        &["2:1: LoadModule cannot occur within directory context"],
    );
}

#[test]
fn error_and_warning_say_their_text() {
    check_wrong("Error \"not here\"\nX", "X()", &["1:1: not here"]);
    check_wrong(
        "<IfDefine !NOPE>\nWarning do not \"use\"\n</IfDefine>",
        "",
        &["2:1: warning: do not \"use\""],
    );
}

#[test]
fn server_root_moves_relative_paths() {
    check_files(
        &[
            (
                "httpd.conf",
                "Include a.conf\nServerRoot /other\nInclude a.conf\nDefaultRuntimeDir run",
            ),
            ("a.conf", "X 1"),
            ("/other/a.conf", "X 2"),
            ("/other/run/pid", ""),
        ],
        "X(1) X(2)",
        &[],
    );
    let reading = read_files(&[("httpd.conf", "DefaultRuntimeDir run"), ("run/pid", "")]);
    assert_eq!(reading.runtime_dir, Some("/srv/run".into()));
    check_wrong(
        "DefaultRuntimeDir absent",
        "",
        &["1:19: DefaultRuntimeDir: must be a valid directory, absolute or relative to ServerRoot"],
    );
    check_wrong("ServerRoot /absent", "", &["1:12: ServerRoot must be a valid directory"]);
}

#[test]
fn include_reads_files_folders_and_patterns_in_order() {
    check_files(
        &[
            ("httpd.conf", "<V 1>\nInclude extra/a.conf\n</V>\nInclude \"sites\""),
            ("extra/a.conf", "A"),
            ("sites/b", "B"),
            ("sites/Z", "Z"),
            ("sites/a/y", "Y"),
            ("sites/.hidden", "H"),
        ],
        "V(1){A()} H() Z() Y() B()",
        &[],
    );
    check_files(
        &[
            ("httpd.conf", "Include s*/[ab]?.conf"),
            ("s1/b1.conf", "B"),
            ("s1/a1.conf", "A"),
            ("s1/c1.conf", "C"),
            ("s1/.a.conf", "H"),
            ("s2/a2.conf/inner", "I"),
            ("s3", "file"),
        ],
        "A() B() I()",
        &[],
    );
    check_files(
        &[("httpd.conf", "Include mods/*/x.conf"), ("mods/a/x.conf", "A"), ("mods/b/y", "B")],
        "A()",
        &[],
    );
    check_files(
        &[("httpd.conf", "IncludeOptional *.load"), (".a.load", "H"), ("b.load", "B")],
        "B()",
        &[],
    );
}

#[test]
fn include_must_find_something_unless_optional() {
    check_files(
        &[
            ("httpd.conf", "Include absent.conf\nInclude *.absent\nInclude no/*.conf"),
            ("f", "forbidden"),
        ],
        "",
        &[
            "/srv/httpd.conf:1:9: Could not open configuration file /srv/absent.conf: entity not found",
            "/srv/httpd.conf:2:9: no matches for the wildcard /srv/*.absent",
            "/srv/httpd.conf:3:9: could not open folder /srv/no: entity not found",
        ],
    );
    check_files(
        &[(
            "httpd.conf",
            "IncludeOptional absent\nIncludeOptional *.absent\nIncludeOptional no/*\nIncludeOptional a/b/*/c",
        )],
        "",
        &[],
    );
    check_files(
        &[("httpd.conf", "IncludeOptional f"), ("f", "forbidden")],
        "",
        &["/srv/httpd.conf:1:17: Could not open configuration file /srv/f: permission denied"],
    );
}

#[test]
fn circles_of_includes_end() {
    check_files(
        &[("httpd.conf", "Include a.conf\nX"), ("a.conf", "Include *.conf\nY")],
        "Y() X()",
        &[
            "/srv/a.conf:1:9: /srv/a.conf includes itself",
            "/srv/a.conf:1:9: /srv/httpd.conf includes itself",
        ],
    );
    let names: Vec<String> = (0..200).map(|number| format!("{number}.conf")).collect();
    let texts: Vec<String> = (1..201).map(|number| format!("Include {number}.conf")).collect();
    let mut files = vec![("httpd.conf", "Include 0.conf")];
    files.extend(names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)));
    let reading = read_files(&files);
    assert_eq!(complaints(&reading), ["/srv/126.conf:1:9: /srv/127.conf is included too deeply"],);
}

#[test]
fn a_section_cannot_cross_the_end_of_a_file() {
    check_files(
        &[
            ("httpd.conf", "<A 1>\nInclude b\nX\n</A>\nInclude c"),
            ("b", "</A>\n<B 2>\nY"),
            ("c", "</A>"),
        ],
        "A(1){B(2){Y()} X()}",
        &[
            "/srv/b:1:1: </A> without matching <A> section",
            "/srv/b:2:1: <B> was not closed",
            "/srv/c:1:1: </A> without matching <A> section",
        ],
    );
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    let text = "<A 1>\n".repeat(100_000);
    let reading = read_text(&text);
    assert!(complaints(&reading)[0].ends_with("sections are nested too deeply"));
    assert!(!reading.tree.to_string().is_empty());
}

#[test]
fn command_line_texts_surround_the_file() {
    let mut stage = Stage::with_files(&[("httpd.conf", "X ${a}")]);
    let text = |text: &str| Input::Text { name: "-C".into(), text: text.into() };
    let file = Input::File(format!("{ROOT}/httpd.conf").into());
    let inputs = [text("Define a 1"), file, text("</A>\nY")];
    let reading = read(&inputs, Start { server_root: ROOT.into(), ..Start::default() }, &mut stage);
    assert_eq!(outline(&reading.tree), "X(1) Y()");
    assert_eq!(complaints(&reading), ["-C:1:1: </A> without matching <A> section"]);
}

#[test]
fn a_missing_main_file_is_an_error_without_a_place() {
    let reading =
        read(&[Input::File("/srv/no.conf".into())], Start::default(), &mut Stage::default());
    assert!(reading.has_errors());
    assert_eq!(
        complaints(&reading),
        ["Could not open configuration file /srv/no.conf: entity not found"]
    );
}

#[test]
fn htaccess_knows_conditions_but_no_includes() {
    let text = b"<IfModule core>\nX\n</IfModule>\nInclude a\nDefine b\nError c\n";
    let reading =
        read_htaccess("/a/.htaccess", text, Start::default(), &mut Stage::with_files(&[]));
    assert_eq!(outline(&reading.tree), "X()");
    assert_eq!(
        complaints(&reading),
        [
            "/a/.htaccess:4:1: Include cannot occur within htaccess files",
            "/a/.htaccess:5:1: Define cannot occur within htaccess files",
            "/a/.htaccess:6:1: c",
        ]
    );
    let long = format!("X {}", "y".repeat(9000));
    let reading =
        read_htaccess(".htaccess", long.as_bytes(), Start::default(), &mut Stage::default());
    assert_eq!(complaints(&reading), [".htaccess:1:1: Line too long: more than 8192 bytes"]);
}

#[test]
fn bytes_that_are_no_utf8_are_read_and_reported_outside_of_comments() {
    let text = b"# caf\xe9\nX caf\xe9\n";
    let reading = read_htaccess("h", text, Start::default(), &mut Stage::default());
    assert_eq!(
        complaints(&reading),
        ["h:2:6: warning: this is not UTF-8, or the replacement character itself"]
    );
}

#[test]
fn a_diagnostic_shows_its_line_with_the_include_chain() {
    let reading = read_files(&[
        ("httpd.conf", "\nInclude a.conf"),
        ("a.conf", "X \\\n   y\n  Define \\\n   one:two three\n"),
    ]);
    let rendered: String =
        reading.diagnostics.iter().map(|each| each.render(&reading.sources)).collect();
    assert_eq!(
        rendered,
        "/srv/a.conf:4:4: Define: a name cannot contain ':'\n    one:two three\n    ^^^^^^^   \
         syntax: Define name [value] (server config, virtual host, directory)\n    \
         included from /srv/httpd.conf:2\n"
    );
}

#[test]
fn macros_are_read_where_they_are_used() {
    check(
        "<Macro Host $name $dir>\n<VirtualHost *:80>\n# no $name\nServerName $name\nDocumentRoot \"$dir\"\n\
         </VirtualHost>\n</Macro>\nuse HOST one \"/a b\"\nUse Host two /b\nUndefMacro host",
        "VirtualHost(*:80){ServerName(one) DocumentRoot(/a b)} \
         VirtualHost(*:80){ServerName(two) DocumentRoot(/b)}",
    );
    // Only what is used is looked at; variables are those of the use.
    check(
        "<Macro M $x>\n<IfDefine $x>\nX ${V}\n</IfDefine>\n</Macro>\nDefine V later\nUse M COMMAND_LINE\nUse M not",
        "X(later)",
    );
    // The longest name wins, nothing is replaced twice, and @ puts into quotes.
    check(
        "<Macro M %a @b>\nX %a@b%a\n</Macro>\nUse M @b 'say \"a b\"'",
        "X(@b\"say|\\\"a|b\\\"\"@b)",
    );
    check("<Macro M @v>\nX @v\n</Macro>\nUse M 'say \"a b\"'", "X(say \"a b\")");
    // Macros use and define macros.
    check(
        "<Macro A $x>\nX $x\n</Macro>\n<Macro B $y>\nUse A $y\n<Macro C>\nY $y\n</Macro>\n</Macro>\n\
         Use B 1\nUse C",
        "X(1) Y(1)",
    );
    check("<IfDefine NO>\n<Macro M>\nError x\n</Macro>\n</IfDefine>\nX", "X()");
}

#[test]
fn mistakes_in_macros_show_the_line_as_it_came_out() {
    let reading = read_text("<Macro M $x>\nDefine $x:y\n</Macro>\n\nUse M a\n");
    let rendered: String =
        reading.diagnostics.iter().map(|each| each.render(&reading.sources)).collect();
    let source = "macro 'm' (defined on line 1 of \"/srv/httpd.conf\") used on line 5 of \"/srv/httpd.conf\"";
    assert_eq!(
        rendered,
        format!(
            "{source}:1:8: Define: a name cannot contain ':'\n    Define a:y\n           ^^^   \
             syntax: Define name [value] (server config, virtual host, directory)\n    \
             included from /srv/httpd.conf:5\n"
        )
    );
}

#[test]
fn mistakes_about_macros() {
    check_wrong("Use M", "", &["1:5: Use: macro 'M' undefined"]);
    check_wrong("UndefMacro M", "", &["1:12: UndefMacro: cannot remove undefined macro 'M'"]);
    check_wrong("<Macro M>\nX\n", "", &["1:1: <Macro> was not closed"]);
    check_wrong(
        "<Macro M $x $x>\nX $x\n</Macro>\nUse M 1 1",
        "",
        &["1:13: <Macro>: macro 'M' has parameter '$x' twice", "4:5: Use: macro 'M' undefined"],
    );
    check_wrong(
        "<Macro M $x>\nX $x\nUse m $x\n</Macro>\nUse M 1\nUse M",
        "X(1)",
        &[
            "macro 'm' (defined on line 1 of \"/srv/httpd.conf\") used on line 5 of \"/srv/httpd.conf\":2:5: \
             Use: recursive use of macro 'm' is invalid",
            "6:5: Use: macro 'm' (defined on line 1 of \"/srv/httpd.conf\") used with 0 arguments instead of 1",
        ],
    );
    check_wrong(
        "<Macro M>\n</Macro>\n<Macro m x $x xy>\nX $x\n</Macro>",
        "",
        &[
            "1:8: warning: macro 'm' has no lines",
            "3:10: warning: macro 'm': every 'x' in its lines is replaced, also within words",
            "3:10: warning: macro 'm': 'x' is the beginning of 'xy', which is replaced first",
            "3:15: warning: macro 'm': every 'xy' in its lines is replaced, also within words",
            "3:15: warning: macro 'm' does not use parameter 'xy'",
            "3:8: warning: macro 'm' is defined again, it was defined on line 1 of \"/srv/httpd.conf\"",
        ],
    );
    check_wrong(
        "<Macro M>\n<A>\n</Macro>\n<A>\nUse M\n</A>",
        "A(){A(){}}",
        &["1:8: warning: bad cumulated nesting (+1) in macro 'm'", "4:1: <A> was not closed"],
    );
}

/// As Apache, to which a macro is text.
#[test]
fn sections_may_begin_in_a_macro_and_end_outside() {
    check_wrong(
        "<Macro M>\n<A>\nX\n</Macro>\nUse M\nY\n</A>\nZ",
        "A(){X() Y()} Z()",
        &["1:8: warning: bad cumulated nesting (+1) in macro 'm'"],
    );
    check_wrong(
        "<Macro M>\nX\n</A>\n</Macro>\n<A>\nUse M\nY",
        "A(){X()} Y()",
        &["1:8: warning: bad cumulated nesting (-1) in macro 'm'"],
    );
    check("<Macro M>\n</A>\n<B>\n</Macro>\n<A>\nUse M\nX\n</B>", "A(){} B(){X()}");
}
