use super::{Effect, Shop};
use crate::{
    account,
    client::Client,
    cloud,
    uploads::{Album, File, notification},
};

pub(crate) fn avatar(shop: &Shop) -> Album<'_> {
    Album::Avatar(&shop.customer)
}

pub(crate) fn images(shop: &Shop) -> Album<'_> {
    Album::Product(&shop.admin, &shop.product)
}

/// Somebody's avatar is uploaded, and shown.
pub(crate) fn avatar_is_shown(_: &Shop) -> Effect {
    is_shown(Client::customer(), None)
}

pub(crate) fn image_is_shown(shop: &Shop) -> Effect {
    is_shown(shop.admin.clone(), Some(shop.admin.new_product(1)))
}

fn is_shown(client: Client, product: Option<String>) -> Effect {
    let upload = album(&client, product.as_deref()).upload(&File::png());
    let shown = move || album(&client, product.as_deref()).ids().contains(&upload.id);
    Effect::new("the file is shown", shown)
}

/// An avatar is deleted, and so erased.
pub(crate) fn avatar_is_erased(_: &Shop) -> Effect {
    let customer = Client::customer();
    Album::Avatar(&customer).show(&File::png());
    customer.send("DELETE", "/api/users/me/avatar", &[], None).expect(204);
    is_erased(customer, None)
}

/// A product is deleted, and so its images are erased.
pub(crate) fn image_is_erased(shop: &Shop) -> Effect {
    let product = shop.admin.new_product(1);
    Album::Product(&shop.admin, &product).show(&File::png());
    shop.admin.send("DELETE", &format!("/api/products/{product}"), &[], None).expect(204);
    is_erased(shop.admin.clone(), Some(product))
}

fn is_erased(client: Client, product: Option<String>) -> Effect {
    Effect::new("the file is erased", move || album(&client, product.as_deref()).keys().is_empty())
}

/// The bucket tells of an avatar that is gone by the time that somebody looks.
pub(crate) fn absent_avatar_is_passed_over(_: &Shop) -> Effect {
    let customer = Client::customer();
    is_passed_over("avatar-uploads", Album::Avatar(&customer))
}

pub(crate) fn absent_image_is_passed_over(shop: &Shop) -> Effect {
    is_passed_over("image-uploads", Album::Product(&shop.admin, &shop.admin.new_product(1)))
}

fn is_passed_over(queue: &str, album: Album<'_>) -> Effect {
    let upload = album.ask(&File::png());
    account::send_now(queue, &notification(&album.bucket(), &album.key(&upload)).to_string());
    Effect::new("nothing more is said about the file", move || {
        !cloud::everything_in_queues().contains(&upload.id)
    })
}

fn album<'a>(client: &'a Client, product: Option<&'a str>) -> Album<'a> {
    product.map_or(Album::Avatar(client), |product| Album::Product(client, product))
}
