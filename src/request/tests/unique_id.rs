//! Names of requests.

use super::*;

#[test]
fn a_request_keeps_its_name_where_an_error_document_leads() {
    let site = Site::new("LoadModule unique_id_module x.so\nErrorDocument 404 /sorry.html");
    let name = |answer: &Answer| answer.response.env.get("UNIQUE_ID").map(<[u8]>::to_vec);
    let (first, second) = (site.get("/missing"), site.get("/a.txt"));
    assert_eq!(first.body, "<p>sorry");
    let name_before = first.response.env.get("REDIRECT_UNIQUE_ID").map(<[u8]>::to_vec);
    assert!(name(&first).is_some() && name(&first) == name_before);
    assert!(name(&second).is_some_and(|second| Some(second) != name(&first)));
    assert_eq!(name(&Site::new("").get("/a.txt")), None);
}
