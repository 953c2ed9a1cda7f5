//! What deflating begins with: words that mail is full of.
//!
//! A letter is short, and its header says what every header says; deflated by itself it has to
//! spell all of that out. Invariant: part of the format. Another dictionary needs another coding
//! octet, and this one stays readable. What is common stands at the end, where a reference to it
//! is shortest.

/// The dictionary of version 1.
pub(super) const DICTIONARY: &[u8] = b"\
<!DOCTYPE html><html xmlns=\"http://www.w3.org/1999/xhtml\"><head>\
<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\
<style type=\"text/css\"></style></head><body><table width=\"100%\" border=\"0\" cellpadding=\"0\" \
cellspacing=\"0\"><tr><td align=\"center\" style=\"font-family: Arial, Helvetica, sans-serif; \
font-size: 14px; color: #000000; margin: 0; padding: 0;\"><p class=\"MsoNormal\"><span \
style=\"font-size:11.0pt\"><br></span></p><div dir=\"ltr\"><blockquote><a href=\"https://www.\
</a></div></td></tr></table></body></html>&nbsp;=C3=A4=C3=BC=20=0A=\r\n\
-----BEGIN PGP SIGNATURE-----\r\n-----END PGP SIGNATURE-----\r\n-----BEGIN PGP MESSAGE-----\r\n\
This is a multi-part message in MIME format.\r\n\
begin 644 Begin forwarded message: -----Original Message-----\r\n\
_______________________________________________\r\n mailing list\r\n\
http://lists. /mailman/listinfo/ To unsubscribe from this list, \
Dear Hello, Hi all, Thanks, Thank you very much for your message. Please let me know if you \
have any questions about this. Best regards, Kind regards, Sincerely, On behalf of On Mon, \
wrote: \r\n> > the of and to a in that is it for this be with you on I not as are have or but \
we can which would from at by an will there they if has what all do one about when was so just \
more should some other could any only like than then also these into because your \r\n> \
Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Mon, Tue, Wed, Thu, Fri, Sat, Sun, \
gmail.com outlook.com hotmail.com yahoo.com .org .net .edu .co.uk .de localhost [127.0.0.1] \
Delivered-To: Return-Path: <Received-SPF: pass Authentication-Results: spf=pass smtp.mailfrom=\
dkim=pass header.d= dmarc=pass (p=none) \
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d= s= q=dns/txt; t=1 \
h=from:to:cc:subject:date:message-id:mime-version:content-type:in-reply-to:references; bh= b=\
X-Google-Smtp-Source: X-Received: by 2002:a05: with SMTP id \
X-Mailer: Mozilla/5.0 User-Agent: Thunderbird Microsoft Outlook Apple Mail X-Priority: 3 \
X-MS-Exchange-Organization- X-Originating-IP: [10. X-Spam-Status: No, score=0.0 required=5.0 \
tests= X-Spam-Score: X-Spam-Level: X-BeenThere: X-Mailman-Version: 2.1 Precedence: list \
List-Id: <List-Unsubscribe: <https:// <mailto: ?subject=unsubscribe> List-Subscribe: \
List-Archive: <List-Post: <mailto:List-Help: <mailto: ?subject=help> Errors-To: -bounces@ \
Sender: Reply-To: Cc: Bcc: Auto-Submitted: auto-generated Importance: Normal Thread-Topic: \
Thread-Index: Accept-Language: en-US Content-Language: en-US X-Originalarrivaltime: (UTC) \
Received: from mail. ([192.168. by (Postfix) with ESMTPS id (using TLSv1.3 with cipher \
TLS_AES_256_GCM_SHA384 (256/256 bits)) (No client certificate requested) (envelope-from <\
with ESMTP id with local (Exim 4. for <; -0700 (PDT) -0500 (EST) +0200 +0100 +0000 (GMT)\r\n\
attachment inline filename name application octet-stream pdf image jpeg png gif \
message rfc822 delivery-status report alternative related mixed signed boundary=\"--=_NextPart_\
----=_Part_ boundary format flowed us-ascii US-ASCII ISO-8859-1 iso-8859-1 windows-1252 UTF-8 \
utf-8 =?UTF-8?Q? =?utf-8?B? =?iso-8859-1?Q? ?= charset=\"us-ascii\" charset=\"utf-8\" \
quoted-printable base64 7bit 8bit \r\nContent-Disposition: inline; attachment; filename=\"\
\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Transfer-Encoding: base64\
\r\nContent-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 7bit\
\r\nContent-Type: multipart/alternative; boundary=\"\r\nContent-Type: multipart/mixed; boundary=\"\
\r\nContent-Type: text/html; charset=\"\r\nContent-Type: text/plain; charset=\"utf-8\"\
\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Type: TEXT/PLAIN; charset=US-ASCII\
\r\nMIME-Version: 1.0\r\nMime-Version: 1.0\r\nReferences: <\r\n <\r\nIn-Reply-To: <\r\nTo: \
\r\nMessage-ID: <\r\nMessage-Id: <\r\nSubject: [\r\nSubject: Re: \r\nDate: \r\nFrom: \
\x04text\x05plain\x01\x07charset\x05utf-8\x00\x00\x01\x047bit\
\x04text\x05plain\x01\x07charset\x08us-ascii\x00\x00\x01\x047bit\x00\x00\x00\x00\x00\x00\
\x04text\x05plain\x00\x00\x00\x00\x00\x00\x00\x00";
