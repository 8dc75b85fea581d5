<?php
// A page with a session of PHP's own: session_start() sends no-store, an Expires in 1981 and a cookie.
session_start();
$_SESSION['name'] ??= 'guest';
?>
<!doctype html>
<html lang="en">
<title>Your session</title>
<p>Hello, <?= htmlspecialchars($_SESSION['name']) ?>.</p>
