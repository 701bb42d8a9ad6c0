//! The API for daily files: available at the stated time, only to their funder, signed, whole or in parts.

use fenqi::app::App;
use fenqi::base::BusinessDay;
use fenqi::base::hex::hex_encode;
use fenqi::partner::key::{Algorithm, PublicKey};
use fenqi::partner::signature::Stamp;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

use super::day_file::{SOON, begun, lived_in, unpack};
use crate::desk::{self, Answer, Desk};
use crate::town::Town;

async fn with_core(town: Town) -> (Town, Desk) {
    let desk = desk::of_core(&town.app, Algorithm::Sm2Sm3).await;
    (town, desk)
}

/// A file's answer, which bears no signature of its own.
async fn download(desk: &Desk, day: &str, name: &str, headers: &[(&str, &str)]) -> Answer {
    let path = format!("/funder/days/{day}/files/{name}");
    desk.send_stamped("GET", &path, &Stamp::fresh(fenqi::base::Clock::System.now()), headers, "").await
}

async fn is_signed(app: &App, signature: &serde_json::Value, text: &str) -> bool {
    use base64::Engine as _;
    let text_of = |field: &str| signature[field].as_str().unwrap().to_owned();
    let algorithm = Algorithm::ALL.into_iter().find(|one| one.name() == text_of("algorithm")).unwrap();
    let signer = app.access.signer(algorithm).await.unwrap();
    assert_eq!(signer.serial_no, text_of("serial_no"));
    let bytes = base64::prelude::BASE64_STANDARD.decode(text_of("signature")).unwrap();
    PublicKey::from_text(&signer.public_key()).unwrap().verifies(text.as_bytes(), &bytes)
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_core_fetches_a_day_at_its_time_and_believes_it(pool: PgPool) {
    let (town, desk) = with_core(lived_in(pool).await).await;
    a_core_fetches_a_day_and_believes_it(&town, &desk).await;
    files_are_given_at_their_time_to_their_funder_and_while_they_are_kept(&town, &desk).await;
}

async fn a_core_fetches_a_day_and_believes_it(town: &Town, desk: &Desk) {
    let days = desk.get("/funder/days?limit=200").await.ok();
    let listed = days["items"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["business_day"]), (57, &"2026-01-05".into()));
    assert_eq!((&listed[0]["status"], &listed[0]["available_from"]), (&"ready".into(), &"2026-01-05T22:00:00Z".into()));
    let first = desk.get("/funder/days?limit=56").await.ok();
    let rest = desk.get(&format!("/funder/days?cursor={}", first["next_cursor"].as_str().unwrap())).await.ok();
    assert_eq!(rest["items"][0], listed[56]);

    let answer = desk.get("/funder/days/2026-01-25/manifest").await;
    let envelope = answer.ok();
    let text = envelope["manifest"].as_str().unwrap();
    let sha256 = hex_encode(&Sha256::digest(text));
    assert_eq!(
        (envelope["manifest_sha256"].as_str(), answer.header("etag")),
        (Some(&*sha256), &*format!("\"{sha256}\""))
    );
    let signatures = envelope["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 2);
    for signature in signatures {
        assert!(is_signed(&town.app, signature, text).await, "{signature}");
        assert!(!is_signed(&town.app, signature, &text.replace('1', "2")).await);
    }
    let manifest: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(manifest["funder"], "harbour-bank");
    for file in manifest["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        let answer = download(desk, "2026-01-25", name, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/gzip"), "{name}");
        assert_eq!(
            (answer.header("content-encoding"), answer.bytes.len()),
            ("", file["bytes"].as_i64().unwrap() as usize)
        );
        assert_eq!(hex_encode(&Sha256::digest(&answer.bytes)), file["sha256"].as_str().unwrap());
        assert_eq!(answer.header("etag"), format!("\"{}\"", file["sha256"].as_str().unwrap()));
        assert_eq!(hex_encode(&sm3::Sm3::digest(&answer.bytes)), file["sm3"].as_str().unwrap());
        let content = unpack(&answer.bytes);
        assert_eq!(content.len() as i64, file["content_bytes"].as_i64().unwrap());
        assert_eq!(hex_encode(&Sha256::digest(&content)), file["content_sha256"].as_str().unwrap());
        assert_eq!(hex_encode(&sm3::Sm3::digest(&content)), file["content_sm3"].as_str().unwrap());
    }
}

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_file_comes_whole_or_in_parts_or_not_again(pool: PgPool) {
    let (town, desk) = with_core(begun(pool, SOON).await).await;
    // Longer than one piece, whatever it holds.
    sqlx::query(
        "with long as (
             update funder_day_file set bytes = 600000
             where business_day = '2026-01-06' and name = 'ledger.csv.gz' returning name),
         gone as (delete from funder_day_chunk where business_day = '2026-01-06' and name in (select name from long))
         select 1",
    )
    .execute(&town.app.pool)
    .await
    .unwrap();
    let whole: Vec<u8> = (0..600_000_u32).map(|at| (at % 251) as u8).collect();
    for (number, piece) in whole.chunks(256 * 1024).enumerate() {
        sqlx::query("insert into funder_day_chunk values ($1, '2026-01-06', 'ledger.csv.gz', $2, $3)")
            .bind(town.funder_id)
            .bind(number as i32)
            .bind(piece)
            .execute(&town.app.pool)
            .await
            .unwrap();
    }
    let get = async |headers: &[(&str, &str)]| download(&desk, "2026-01-06", "ledger.csv.gz", headers).await;
    let answer = get(&[]).await;
    assert!(answer.bytes == whole && answer.status == 200 && answer.header("accept-ranges") == "bytes");
    assert_eq!(answer.header("fenqi-signature"), "", "its hash is signed, in the manifest");
    let tag = answer.header("etag").to_owned();
    for (range, from, to) in
        [("bytes=0-9", 0, 9), ("bytes=262140-262149", 262_140, 262_149), ("bytes=-3", 599_997, 599_999)]
    {
        let answer = get(&[("range", range)]).await;
        assert_eq!((answer.status, &answer.bytes[..]), (206, &whole[from..=to]), "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{to}/600000"));
    }
    let answer = get(&[("range", "bytes=100000-"), ("if-range", &tag)]).await;
    assert!(answer.status == 206 && answer.bytes == whole[100_000..]);
    let answer = get(&[("range", "bytes=100000-"), ("if-range", "\"another\"")]).await;
    assert!(answer.status == 200 && answer.bytes == whole);
    let answer = get(&[("if-none-match", &tag)]).await;
    assert_eq!((answer.status, answer.bytes.len()), (304, 0));
    for known in ["*".to_owned(), format!("\"another\", W/{tag}")] {
        assert_eq!(get(&[("if-none-match", &known)]).await.status, 304, "{known}");
    }
    assert_eq!(get(&[("if-none-match", "\"another\""), ("if-none-match", &tag)]).await.status, 304);
    let beyond = get(&[("range", "bytes=600000-")]).await;
    assert_eq!(beyond.problem(), (416, "range_not_satisfiable".into()));
    assert_eq!(beyond.header("content-range"), "bytes */600000", "how much of it there is");
}

async fn files_are_given_at_their_time_to_their_funder_and_while_they_are_kept(town: &Town, desk: &Desk) {
    let manifest = |day: &str| format!("/funder/days/{day}/manifest");
    // The day is 2026-03-03, ten in the morning: yesterday is there, today and what comes is not.
    assert_eq!(desk.get(&manifest("2026-03-02")).await.status, 200);
    for day in ["2026-03-03", "2026-12-24"] {
        let answer = desk.get(&manifest(day)).await;
        assert_eq!(answer.problem(), (409, "file_not_ready".into()), "{day}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("T06:00:00+08:00"), "{}", answer.json());
    }
    assert_eq!(download(desk, "2026-03-03", "lines.csv.gz", &[]).await.problem().1, "file_not_ready");
    // Made in the night already, and yet not before the stated time.
    town.set_time("2026-03-03".parse().unwrap(), "05:59:00");
    let early = desk.get(&manifest("2026-03-02")).await;
    assert_eq!((early.problem(), early.header("retry-after")), ((409, "file_not_ready".into()), "60"));
    let listed = desk.get("/funder/days?limit=200").await.ok()["items"][56].clone();
    assert_eq!((&listed["status"], &listed["manifest_sha256"]), (&"not_ready".into(), &serde_json::Value::Null));
    town.set_time("2026-03-03".parse().unwrap(), "06:00:00");
    assert_eq!(desk.get(&manifest("2026-03-02")).await.status, 200);

    for day in ["2026-01-04", "2026-02-30", "20260225", "today", "9999-12-31"] {
        assert_eq!(desk.get(&manifest(day)).await.problem(), (404, "not_found".into()), "{day}");
    }
    for name in ["lines.csv", "all.csv.gz", "..%2flines.csv.gz"] {
        let answer = download(desk, "2026-03-02", name, &[]).await;
        assert_eq!(answer.problem(), (404, "not_found".into()), "{name}");
    }
    let stranger = desk.stranger(&town.app).await;
    assert_eq!(stranger.get(&manifest("2026-03-02")).await.problem(), (404, "not_found".into()));
    assert_eq!(download(&stranger, "2026-03-02", "lines.csv.gz", &[]).await.problem(), (404, "not_found".into()));
    assert_eq!(stranger.get("/funder/days").await.ok()["items"], serde_json::json!([]));

    town.set_time("2027-04-10".parse().unwrap(), "10:00:00");
    fenqi::day_file::jobs::forget_old(&town.app).await.unwrap();
    assert_eq!(download(desk, "2026-03-02", "lines.csv.gz", &[]).await.problem(), (410, "file_expired".into()));
    assert_eq!(desk.get(&manifest("2026-03-02")).await.status, 200, "the manifest is kept for good");
}

/// From its cut-off on a day is over, and nothing of its files is there before its close comes to them: that may be hours later.
#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn a_day_whose_close_is_late_is_not_ready_and_not_unknown(pool: PgPool) {
    let (town, desk) = with_core(begun(pool, SOON).await).await;
    let day: BusinessDay = SOON.parse().unwrap();
    let mut killed = fenqi::database::begin(&town.app.pool).await.unwrap();
    assert!(fenqi::close::engine::cut_off(&mut killed, day, town.app.clock.now()).await.unwrap());
    let begun = "insert into close_run (business_day, started_at) values ($1, now())";
    sqlx::query(begun).bind(day).execute(&mut *killed).await.unwrap();
    killed.commit().await.unwrap();
    town.set_time(day.next(), "07:00:00");
    let manifest = format!("/funder/days/{day}/manifest");
    let late = desk.get(&manifest).await;
    assert_eq!((late.problem(), late.header("retry-after")), ((409, "file_not_ready".into()), "60"));
    let late = download(&desk, SOON, "lines.csv.gz", &[]).await;
    assert_eq!((late.problem(), late.header("retry-after")), ((409, "file_not_ready".into()), "60"));
    fenqi::close::close_day(&town.app, day).await.unwrap();
    fenqi::day_file::jobs::make_files(&town.app).await.unwrap();
    assert_eq!(desk.get(&manifest).await.status, 200);
}
