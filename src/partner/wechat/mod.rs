//! WeChat: signing people in, signing pages for its JSSDK, and subscription messages; see README.md for its protocol.

pub mod client;
pub mod wire;

pub use client::{PageSignature, Sending, Template, WeChat, WeChatError, WeChatSettings};
pub use wire::{SERVES_NOBODY, serves_nobody};

/// The name under which its calls are recorded.
pub const NAME: &str = "wechat";
