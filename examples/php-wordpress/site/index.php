<?php
// Pages that send what WordPress sends: nothing about caching to guests, no-store to those who are signed in.
$signed_in = isset($_COOKIE['wordpress_logged_in_5f1e2a']);
if ($signed_in) {
    header('Expires: Wed, 11 Jan 1984 05:00:00 GMT');
    header('Cache-Control: no-cache, must-revalidate, max-age=0, no-store, private');
}
header('Content-Type: text/html; charset=UTF-8');
header('Link: </wp-json/>; rel="https://api.w.org/"');
$start = hrtime(true);
?>
<!doctype html>
<html lang="en">
<link rel="stylesheet" href="/wp-content/themes/style.css?ver=6.8">
<title>A post</title>
<p><?= $signed_in ? 'Howdy, ada.' : 'A post for everybody.' ?></p>
<!-- Dynamic page generated in <?= sprintf('%.9f', (hrtime(true) - $start) / 1e9) ?> seconds. -->
