//! Signatures in both directions agree with published test vectors, and only properly signed requests are accepted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use fenqi::base::Clock;
use fenqi::base::hex::{hex_decode, hex_encode};
use fenqi::partner::key::{self, Algorithm, PrivateKey};
use fenqi::partner::signature::{
    Authorization, Identity, KeyRing, Received, SignatureError, Stamp, Verifier, request_message,
};
use fenqi::sandbox::PLATFORM;
use serde_json::Value;

use crate::golden;

fn verifier() -> Verifier {
    let mut ring = KeyRing::default();
    ring.add_identity(&Identity::from_seed(PLATFORM, 1));
    Verifier::new(ring)
}

fn received<'a>(header: &'a str, body: &'a [u8]) -> Received<'a> {
    Received { method: "POST", url: "/payout/orders?x=1", authorization: Some(header), body }
}

#[test]
fn the_published_signing_strings_come_out() {
    let vectors = golden::golden("signature_vectors.json");
    let mut checked = 0;
    for vector in vectors["wechat_pay_v3"]["vectors"].as_array().unwrap() {
        let Some(method) = vector["method"].as_str() else { continue };
        let text = |name: &str| vector[name].as_str().unwrap();
        let stamp = Stamp { timestamp: text("timestamp").parse().unwrap(), nonce: text("nonce_str").to_owned() };
        let message = request_message(method, text("url"), &stamp, text("body").as_bytes());
        assert_eq!(String::from_utf8(message).unwrap(), text("sign_string"), "{}", vector["id"]);
        checked += 1;
    }
    assert_eq!(checked, 3);
}

/// Every published vector by its place and id, with what runs it, or why it is not ours.
const PUBLISHED: [(&str, &str); 29] = [
    ("file_status", "words"),
    ("sm.sm2.SM2-ENC-1", "not ours: nothing is encrypted for a partner's key"),
    ("sm.sm2.SM2-SIGN-1", "the_published_sm2_signature_is_believed_and_a_changed_one_is_not"),
    ("sm.sm3.0", "the_published_digests_come_out"),
    ("sm.sm3.1", "the_published_digests_come_out"),
    ("sm.sm3.2", "the_published_digests_come_out"),
    ("sm.sm3.3", "the_published_digests_come_out"),
    ("sm.sm3.4", "the_published_digests_come_out"),
    ("standard_webhooks.rules", "words"),
    // Their keyed hash is not ours: we sign in the manner of WeChat Pay. That the same changes are noticed is.
    ("standard_webhooks.vectors.SW-1", "what_changes_a_published_webhook_changes_ours"),
    ("standard_webhooks.vectors.SW-2", "not ours: another spelling of their shared secret, and we share none"),
    ("standard_webhooks.vectors.SW-3", "not ours: several signatures in one header, where we have one"),
    ("standard_webhooks.vectors.SW-4", "what_changes_a_published_webhook_changes_ours"),
    ("standard_webhooks.vectors.SW-5", "what_changes_a_published_webhook_changes_ours"),
    ("standard_webhooks.vectors.SW-6", "what_changes_a_published_webhook_changes_ours"),
    ("standard_webhooks.vectors.SW-7", "what_changes_a_published_webhook_changes_ours"),
    ("standard_webhooks.vectors.SW-8", "what_changes_a_published_webhook_changes_ours"),
    ("standard_webhooks.vectors.SW-9", "what_changes_a_published_webhook_changes_ours"),
    ("wechat_pay_v3.aes_gcm.WX-AES-1", "not ours: nothing that we are told is encrypted under an APIv3 key"),
    ("wechat_pay_v3.rules", "words"),
    ("wechat_pay_v3.test_public_key", "the_published_rsa_signatures_are_believed_and_changed_ones_are_not"),
    ("wechat_pay_v3.vectors.WX-1", "the_published_rsa_signatures_are_believed_and_changed_ones_are_not"),
    ("wechat_pay_v3.vectors.WX-2", "the_published_signing_strings_come_out"),
    ("wechat_pay_v3.vectors.WX-2 header", "the_published_headers_are_laid_out_as_ours"),
    ("wechat_pay_v3.vectors.WX-2b", "the_published_rsa_signatures_are_believed_and_changed_ones_are_not"),
    ("wechat_pay_v3.vectors.WX-3", "the_published_signing_strings_come_out"),
    ("wechat_pay_v3.vectors.WX-3 header", "the_published_headers_are_laid_out_as_ours"),
    ("wechat_pay_v3.vectors.WX-4", "the_published_signing_strings_come_out"),
    ("wechat_pay_v3.vectors.WX-5", "the_published_rsa_signatures_are_believed_and_changed_ones_are_not"),
];

/// The names under which [`PUBLISHED`] has what stands in one list.
fn names(place: &str, items: &Value) -> Vec<String> {
    let Some(items) = items.as_array().filter(|items| items.iter().all(Value::is_object)) else {
        return vec![place.to_owned()];
    };
    let name = |(index, item): (usize, &Value)| {
        let id = item["id"].as_str().map_or_else(|| index.to_string(), str::to_owned);
        let has_header = ["authorization_example", "header_layout"].iter().any(|field| item[field].is_string());
        let header = has_header.then(|| format!("{place}.{id} header"));
        [Some(format!("{place}.{id}")), header].into_iter().flatten()
    };
    items.iter().enumerate().flat_map(name).collect()
}

#[test]
fn every_published_vector_is_run_or_said_not_to_be_ours() {
    let vectors = golden::golden("signature_vectors.json");
    let mut found = Vec::new();
    for (section, inside) in vectors.as_object().unwrap() {
        match inside.as_object() {
            Some(lists) => {
                lists.iter().for_each(|(list, items)| found.extend(names(&format!("{section}.{list}"), items)))
            }
            None => found.push(section.clone()),
        }
    }
    found.sort();
    assert_eq!(found, PUBLISHED.map(|(name, _)| name));
    let text = include_str!("signatures.rs");
    for (name, how) in PUBLISHED {
        let is_answered = how == "words" || how.starts_with("not ours: ") || text.contains(&format!("\nfn {how}() {{"));
        assert!(is_answered, "{name}: there is no test {how}");
        println!("{name}: {how}");
    }
}

#[test]
fn the_published_headers_are_laid_out_as_ours() {
    let vectors = golden::golden("signature_vectors.json");
    let mut checked = 0;
    for vector in vectors["wechat_pay_v3"]["vectors"].as_array().unwrap() {
        let Some(header) = vector["authorization_example"].as_str().or(vector["header_layout"].as_str()) else {
            continue;
        };
        // The scheme's name is theirs; everything after it is read as ours.
        let (scheme, fields) = header.split_once(' ').unwrap();
        assert!(scheme.starts_with("WECHATPAY2-"), "{header}");
        let read = Authorization::parse(&format!("{} {fields}", Algorithm::RsaSha256.scheme())).unwrap();
        let stamp = Stamp {
            timestamp: vector["timestamp"].as_str().unwrap().parse().unwrap(),
            nonce: vector["nonce_str"].as_str().unwrap().to_owned(),
        };
        assert_eq!(read.stamp, stamp, "{header}");
        let key = PrivateKey::generate(Algorithm::RsaSha256).unwrap();
        let ours = Identity::new(&read.mchid, &read.serial_no, key).authorization("GET", "/", &stamp, b"");
        let layout = |header: &str| {
            let fields = header.split_once(' ').unwrap().1.split(',').map(|field| field.split_once('=').unwrap());
            let mut fields: Vec<(String, String)> = fields
                .filter(|(name, _)| *name != "signature")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            fields.sort();
            fields
        };
        assert_eq!(layout(&ours), layout(header), "the same fields in the same quotes, in whatever order");
        checked += 1;
    }
    assert_eq!(checked, 2);
}

#[test]
fn what_changes_a_published_webhook_changes_ours() {
    let vectors = golden::golden("signature_vectors.json");
    let vectors = vectors["standard_webhooks"]["vectors"].as_array().unwrap();
    let identity = Identity::from_seed(PLATFORM, 1);
    let mut ring = KeyRing::default();
    ring.add_identity(&identity);
    let message = |vector: &Value| {
        let timestamp = vector["headers"]["webhook-timestamp"].as_str().unwrap().parse().unwrap();
        let stamp = Stamp { timestamp, nonce: vector["headers"]["webhook-id"].as_str().unwrap().to_owned() };
        request_message("POST", "/hear", &stamp, vector["body"].as_str().unwrap().as_bytes())
    };
    let believed = |message: &[u8], signature: &str| ring.verify(PLATFORM, &identity.serial_no, message, signature);
    let signature = identity.sign(&message(&vectors[0]));
    for vector in vectors {
        let is_same = message(vector) == message(&vectors[0]);
        let expected = if is_same { Ok(()) } else { Err(SignatureError::Wrong) };
        assert_eq!(believed(&message(vector), &signature), expected, "{}", vector["id"]);
        assert_eq!(vector["source"]["derived"] == "SW-1", !is_same && vector["valid"] == false, "{}", vector["id"]);
        assert_eq!(believed(&message(vector), &identity.sign(&message(vector))), Ok(()), "{}", vector["id"]);
    }
    // SW-4: the signature itself, in its last bits.
    let mut changed = BASE64_STANDARD.decode(&signature).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let changed = BASE64_STANDARD.encode(changed);
    assert_eq!(believed(&message(&vectors[0]), &changed), Err(SignatureError::Wrong));
}

#[test]
fn the_published_sm2_signature_is_believed_and_a_changed_one_is_not() {
    use sm3::Digest as _;
    let vectors = golden::golden("signature_vectors.json");
    let vector = vectors["sm"]["sm2"].as_array().unwrap().iter().find(|vector| vector["id"] == "SM2-SIGN-1").unwrap();
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    let mut ring = KeyRing::default();
    assert!(ring.add("partner", "1", &format!("04{}{}", text("public_key_x"), text("public_key_y"))));
    let signature = BASE64_STANDARD.encode(hex_decode(&(text("r") + &text("s"))).unwrap());
    let message = text("message").into_bytes();
    assert_eq!(ring.verify("partner", "1", &message, &signature), Ok(()));
    let der = BASE64_STANDARD.encode(hex_decode(&text("der")).unwrap());
    assert_eq!(ring.verify("partner", "1", &message, &der), Ok(()), "the same in DER");
    let hashed = sm3::Sm3::digest([hex_decode(&text("za")).unwrap(), message.clone()].concat());
    assert_eq!(hex_encode(&hashed), text("e").to_lowercase());
    assert_eq!(ring.verify("partner", "1", b"message digesT", &signature), Err(SignatureError::Wrong));
    assert_eq!(ring.verify("partner", "2", &message, &signature), Err(SignatureError::UnknownKey));
    let identity = Identity::from_text("partner", "1", &text("private_key")).unwrap();
    let public = key::PublicKey::from_text(&identity.public_key()).unwrap().to_der();
    let point = hex_encode(&public[public.len() - 65..]);
    assert_eq!(point, format!("04{}{}", text("public_key_x"), text("public_key_y")).to_lowercase());
}

#[test]
fn the_published_rsa_signatures_are_believed_and_changed_ones_are_not() {
    let vectors = golden::golden("signature_vectors.json");
    let wechat = &vectors["wechat_pay_v3"];
    let mut ring = KeyRing::default();
    assert!(ring.add("partner", "1", wechat["test_public_key"].as_str().unwrap()));
    let mut checked = 0;
    for vector in wechat["vectors"].as_array().unwrap() {
        let Some(signature) = vector["signature_base64"].as_str() else { continue };
        let message = vector["message"].as_str().or(vector["sign_string"].as_str()).unwrap();
        assert_eq!(ring.verify("partner", "1", message.as_bytes(), signature), Ok(()), "{}", vector["id"]);
        let changed = format!("{message} ");
        assert_eq!(ring.verify("partner", "1", changed.as_bytes(), signature), Err(SignatureError::Wrong));
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn the_published_digests_come_out() {
    use sm3::Digest as _;
    for vector in golden::golden("signature_vectors.json")["sm"]["sm3"].as_array().unwrap() {
        let digest = sm3::Sm3::digest(vector["message"].as_str().unwrap());
        assert_eq!(hex_encode(&digest), vector["digest"].as_str().unwrap());
    }
}

#[test]
fn a_request_is_believed_once_and_not_when_changed_or_stale() {
    let identity = Identity::from_seed(PLATFORM, 1);
    let verifier = verifier();
    let now = Clock::System.now();
    let stamp = Stamp::fresh(now);
    let header = identity.authorization("POST", "/payout/orders?x=1", &stamp, b"{}");
    assert_eq!(verifier.request(now, received(&header, b"{ }")), Err(SignatureError::Wrong));
    let late = now + TimeDelta::seconds(301);
    assert_eq!(verifier.request(late, received(&header, b"{}")), Err(SignatureError::Stale));
    let other_url = Received { url: "/payout/orders", ..received(&header, b"{}") };
    assert_eq!(verifier.request(now, other_url), Err(SignatureError::Wrong));
    assert_eq!(verifier.request(now, received(&header, b"{}")).as_deref(), Ok(PLATFORM));
    assert_eq!(verifier.request(now, received(&header, b"{}")), Err(SignatureError::NonceReused));
    let later = now + TimeDelta::seconds(299);
    assert_eq!(verifier.request(later, received(&header, b"{}")), Err(SignatureError::NonceReused));
}

#[test]
fn a_header_of_another_form_is_refused() {
    let identity = Identity::from_seed(PLATFORM, 1);
    let header = identity.authorization("POST", "/", &Stamp::fresh(Clock::System.now()), b"");
    assert!(Authorization::parse(&header).is_some());
    assert!(Authorization::parse(&header.replace("FENQI-SM2-SM3", "WECHATPAY2-SHA256-RSA2048")).is_none());
    assert!(Authorization::parse(&format!("{header},mchid=\"other\"")).is_none());
    assert!(Authorization::parse(&header.replace("serial_no", "serial")).is_none());
    let verdict = verifier().request(Clock::System.now(), Received { authorization: None, ..received("", b"") });
    assert_eq!(verdict, Err(SignatureError::Malformed));
}
