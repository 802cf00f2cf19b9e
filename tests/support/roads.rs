//! Roads: the ways in which a file gets from the page cache into the socket, and a folder for each.

use super::Site;

/// The folders, named after what happens to their files.
pub(crate) const ROADS: [&str; 3] = ["sendfile", "mapped", "read"];

const LINES: &str = "<Location /sendfile>\nEnableSendfile On\nEnableMMAP Off\n</Location>\n\
     <Location /mapped>\nEnableSendfile Off\nEnableMMAP On\n</Location>\n\
     <Location /read>\nEnableSendfile Off\nEnableMMAP Off\n</Location>";

/// Puts a file `large.bin` into the folder of each road.
pub(crate) fn on_every_road(site: Site, bytes: &[u8]) -> Site {
    let place = |site: Site, road: &&str| site.file(&format!("{road}/large.bin"), bytes);
    ROADS.iter().fold(site, place).conf(LINES)
}
